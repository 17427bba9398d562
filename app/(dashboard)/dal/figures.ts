import { cache } from 'react';
import { readCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { type Forecast, readForecast } from '@/lib/stats/forecast.ts';
import { type Pulse, readPulse } from '@/lib/stats/pulse.ts';
import { readAnalytics, readMonitoring } from '@/lib/stats/stats.ts';
import { visitedServices } from './visited.ts';

/** Reads the monitors, their incidents and their regions. */
export const readMonitors = cache(async () => {
  const { rpc } = await visitedServices();
  return readMonitoring(rpc);
});

/** Reads the slots that each scheduler delivered in the last 24 hours. */
export const readSchedules = cache(async () => {
  const { rpc } = await visitedServices();
  return readCoverage(rpc, 24);
});

/** Reads the daily figures of the last 14 days. */
export const readDays = cache(async () => {
  await visitedServices();
  return readAnalytics();
});

/** Reads what falls due in the next six hours. Leaves out queues in which nothing does. */
export async function readNextHours(): Promise<Forecast[]> {
  const { rpc } = await visitedServices();
  return (await readForecast(rpc)).filter(({ hours }) => hours.some(({ due }) => due > 0));
}

/** Reads the pulse that the browser compares its next one with; null while the database does not respond. */
export async function readFirstPulse(): Promise<Pulse | null> {
  const { rpc } = await visitedServices().catch(() => ({ rpc: null }));
  return rpc && (await readPulse(rpc).catch(() => null));
}
