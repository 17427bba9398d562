import type { Trouble } from '@/components/troubles';
import type { MonitorSummary } from '@/lib/store/monitoring';

type State = 'up' | 'degraded' | 'down' | 'new' | 'inactive';

export function stateOf({ is_active, state }: Pick<MonitorSummary, 'is_active' | 'state'>): State {
  return is_active ? (state ?? 'new') : 'inactive';
}

/** What a person should know of a monitor besides its figures, in a few words; nothing of one that is well. */
export function monitorNotes(monitor: MonitorSummary): Trouble[] {
  const { last, region, home_region: home, suspect } = monitor;
  const state = stateOf(monitor);
  if (state === 'inactive') return [{ tone: 'wait', text: 'it is not checked until it is made active' }];
  const notes: Trouble[] = [];
  const error = last?.error ?? null;
  if (suspect) notes.push({ tone: 'warn', text: `it failed, which is being confirmed${because(error)}` });
  else if (state === 'new') notes.push({ tone: 'wait', text: 'it has not been checked yet' });
  else if (last && last.verdict !== 'up')
    notes.push({ tone: last.verdict === 'down' ? 'bad' : 'warn', text: error ?? last.verdict });
  else if (state !== 'up')
    notes.push({ tone: 'wait', text: 'its last check was good, which is being confirmed' });
  if (isAway(monitor)) notes.push({ tone: 'warn', text: `checked from ${region}, since ${home} cannot` });
  return notes;
}

/** Elsewhere than at home, and not on purpose: while it is down, or may be, the regions are asked by turns. */
export const isAway = ({ region, home_region: home, suspect, state }: MonitorSummary): boolean =>
  home !== null && region !== home && !suspect && state !== 'down';

export function isWell(monitor: MonitorSummary): boolean {
  return stateOf(monitor) === 'up' && monitorNotes(monitor).length === 0;
}

function because(error: string | null): string {
  return error === null ? '' : `: ${error}`;
}
