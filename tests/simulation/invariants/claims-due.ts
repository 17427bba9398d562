import type { Transition } from '../recorder.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/** No row is claimed before it is due or after it expired, and no row is swept before its lease ends. */
export function claimsDue(run: FinishedRun): Violation[] {
  return [run, run.posts, run.jobs].flatMap(({ queue, transitions, brought }) => {
    const settled = new Set(brought.map(({ call, rowId }) => `${call}/${rowId}`));
    const before = new Map<string, Transition>();
    return transitions.flatMap((transition) => {
      const was = before.get(transition.rowId);
      before.set(transition.rowId, transition);
      const fault = was && faultOf(transition, was);
      // A settle in this call may keep the error of an earlier sweep.
      if (!fault || settled.has(`${transition.call}/${transition.rowId}`)) return [];
      const { rowId, at } = transition;
      const details = `${queue} ${rowId} at ${new Date(at).toISOString()}`;
      return [{ invariant: fault, details }];
    });
  });
}

function faultOf({ to, at, lastError, byHand, attempts }: Transition, was: Transition): string | null {
  if (to === 'running') {
    if ((was.dueAt ?? Number.POSITIVE_INFINITY) > at) return 'no row is claimed before it is due';
    if ((was.expiresAt ?? Number.POSITIVE_INFINITY) <= at) return 'no row is claimed after it expired';
  }
  // A release takes its attempt back and keeps the error of an earlier one.
  const isSwept =
    was.to === 'running' &&
    byHand === null &&
    attempts === was.attempts &&
    lastError === 'the tick died while this row was running';
  return isSwept && (was.leaseExpiresAt ?? 0) > at ? 'no row is swept before its lease ends' : null;
}
