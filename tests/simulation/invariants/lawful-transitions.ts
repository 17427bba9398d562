import type { FinishedRun, QueueRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/**
 * Where a row may go from where, but for what somebody does by plain SQL. Proof that a message went out prevails over whatever was made of the row meanwhile; a message that
 * went out may yet turn out not to have arrived.
 */
const lawful: Record<string, string[]> = {
  new: ['pending'],
  pending: ['pending', 'running', 'cancelled', 'dead', 'done'],
  running: ['done', 'dead', 'unknown', 'pending'],
  unknown: ['done', 'dead', 'pending', 'cancelled'],
  // What is settled goes by retention.
  dead: ['done', 'gone'],
  cancelled: ['done', 'gone'],
  done: ['dead', 'gone'],
};

export function lawfulTransitions(run: FinishedRun): Violation[] {
  return [run, run.posts, run.jobs].flatMap(unlawful);
}

function unlawful({ queue, transitions }: QueueRun): Violation[] {
  return transitions
    .filter(({ from, to, byHand }) => byHand === null && !lawful[from ?? 'new']?.includes(to))
    .map(({ rowId, from, to, at }) => ({
      invariant: 'only lawful transitions',
      details: `${queue} ${rowId} went from ${from} to ${to} at ${new Date(at).toISOString()}`,
    }));
}
