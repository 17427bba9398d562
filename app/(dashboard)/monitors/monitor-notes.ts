import type { MonitorSummary } from '@/lib/store/monitoring.ts';

/** Something about a monitor, in a few words. `wait` ends by itself. */
export interface MonitorNote {
  tone: 'wait' | 'warn' | 'bad';
  text: string;
}

type State = 'up' | 'degraded' | 'down' | 'new' | 'inactive';

/** Returns a monitor's state, with `new` before its first verdict and `inactive` while it is not checked. */
export function stateOf({ is_active, state }: Pick<MonitorSummary, 'is_active' | 'state'>): State {
  return is_active ? (state ?? 'new') : 'inactive';
}

/** Says in a few words what is wrong with a monitor. Empty for a healthy one. */
export function monitorNotes(monitor: MonitorSummary): MonitorNote[] {
  const { last, region, home_region: home, suspect } = monitor;
  const state = stateOf(monitor);
  if (state === 'inactive') return [{ tone: 'wait', text: 'not checked until you activate it' }];
  const notes: MonitorNote[] = [];
  const error = last?.error ?? null;
  if (suspect) notes.push({ tone: 'warn', text: `a failure is being confirmed${withReason(error)}` });
  else if (state === 'new') notes.push({ tone: 'wait', text: 'not checked yet' });
  else if (last && last.verdict !== 'up')
    notes.push({ tone: last.verdict === 'down' ? 'bad' : 'warn', text: error ?? last.verdict });
  else if (state !== 'up') notes.push({ tone: 'wait', text: 'a recovery is being confirmed' });
  if (isAway(monitor))
    notes.push({ tone: 'warn', text: `checked from ${region}, because ${home} cannot check it` });
  return notes;
}

/**
 * Whether another region checks a monitor because its own cannot. While a monitor is down or suspect, all regions check it in turn: that does
 * not count.
 */
export const isAway = ({ region, home_region: home, suspect, state }: MonitorSummary): boolean =>
  home !== null && region !== home && !suspect && state !== 'down';

/** Whether a monitor is up and has no notes. */
export function isHealthy(monitor: MonitorSummary): boolean {
  return stateOf(monitor) === 'up' && monitorNotes(monitor).length === 0;
}

function withReason(error: string | null): string {
  return error === null ? '' : `: ${error}`;
}
