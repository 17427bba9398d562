import type { FinishedRun, QueueRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/**
 * The valid state changes, apart from changes by plain SQL. Proof of delivery overrides any settled state, and a message that was sent may
 * turn out to be undeliverable.
 */
const valid: Record<string, string[]> = {
  new: ['pending'],
  pending: ['pending', 'running', 'cancelled', 'dead', 'done'],
  running: ['done', 'dead', 'unknown', 'pending'],
  unknown: ['done', 'dead', 'pending', 'cancelled'],
  // Retention deletes settled rows. An operator has dead rows tried again.
  dead: ['done', 'gone', 'pending'],
  cancelled: ['done', 'gone'],
  done: ['dead', 'gone'],
};

export function validTransitions(run: FinishedRun): Violation[] {
  return [run, run.posts, run.jobs].flatMap(invalidTransitions);
}

function invalidTransitions({ queue, transitions }: QueueRun): Violation[] {
  return transitions
    .filter(({ from, to, byHand }) => byHand === null && !valid[from ?? 'new']?.includes(to))
    .map(({ rowId, from, to, at }) => ({
      invariant: 'only valid state changes occur',
      details: `${queue} ${rowId} went from ${from} to ${to} at ${new Date(at).toISOString()}`,
    }));
}
