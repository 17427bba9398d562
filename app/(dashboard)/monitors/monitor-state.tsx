import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { stateOf } from './monitor-notes.ts';

export type StateName = ReturnType<typeof stateOf>;

export const STATE_TONES: Record<StateName, string> = {
  up: 'bg-good-tint text-good',
  degraded: 'bg-warn-tint text-warn',
  down: 'bg-bad-tint text-bad',
  new: 'bg-sunken text-muted',
  inactive: 'bg-sunken text-muted',
};

export const STATE_MEANINGS: Record<StateName, string> = {
  up: 'Its checks succeed.',
  degraded: 'It responds, but slowly, or not to every region, or its certificate expires soon.',
  down: 'Its checks fail, and further checks confirmed it.',
  new: 'It has not been checked yet.',
  inactive: 'It is not checked.',
};

/** Draws a monitor's state. */
export function MonitorState({ monitor }: { monitor: MonitorSummary }) {
  const state = stateOf(monitor);
  return (
    <span className={`rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ${STATE_TONES[state]}`}>
      {state}
    </span>
  );
}
