import type { TickReport } from '@/lib/engine/tick-report.ts';
import { plural } from '@/lib/stats/plural.ts';

const IDLE: Record<string, string> = {
  idle: 'The tick found nothing due.',
  skipped: 'Another tick was running, so this one did nothing.',
  paused: 'The queue is paused, so the tick claimed nothing.',
};

/** Says what a tick that somebody asked for did, from its report, or the reports of several partitions. */
export function tickInWords(body: object): string {
  const reports = 'reports' in body ? (body.reports as TickReport[]) : [body as TickReport];
  const claimed = reports.reduce((sum, { counts }) => sum + (counts?.claimed ?? 0), 0);
  const done = reports.reduce((sum, { counts }) => sum + (counts?.done ?? 0), 0);
  const [first] = reports;
  if (!first) return 'No partition has due rows.';
  if (claimed === 0) return IDLE[first.outcome] ?? 'The tick claimed nothing.';
  const worked = done === claimed ? 'all worked' : `${done.toLocaleString('en-US')} worked`;
  return `The tick ran ${plural(claimed, 'row')}: ${worked}.`;
}
