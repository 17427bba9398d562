import type { FinishedRun } from '../run-simulation.ts';
import { day } from '../world.ts';
import type { Violation } from './violation.ts';

/** Only retention and a person delete rows, retention never early, and it deletes every row past its time. */
export function retentionKept(run: FinishedRun): Violation[] {
  const { retentionDays, endAt } = run.world;
  const keptMs = (retentionDays ?? Number.POSITIVE_INFINITY) * day;
  return [run, run.posts, run.jobs].flatMap(({ queue, transitions, prunes, rows }) => [
    ...transitions
      .filter(({ to, byHand, call, finishedAt, at }) => {
        const isAllowed = prunes.has(call) && (finishedAt ?? Number.POSITIVE_INFINITY) < at - keptMs;
        return to === 'gone' && byHand === null && !isAllowed;
      })
      .map(({ rowId, from, at, finishedAt }) => ({
        invariant: 'no row is deleted before its retention has passed',
        details: `${queue} ${rowId}, ${from} since ${finishedAt}, at ${at}`,
      })),
    ...rows
      .filter(({ gone, finishedAt, status }) => {
        // Allows 2.5 days: maintenance runs every 3 to 12 hours, and retention deletes only days that were rolled up.
        const isOld = finishedAt !== null && finishedAt < endAt - keptMs - 2.5 * day;
        return gone === null && isOld && ['done', 'dead', 'cancelled'].includes(status);
      })
      .map(({ id, status, finishedAt }) => ({
        invariant: 'retention deletes every row past its time',
        details: `${queue} ${id} is ${status} since ${finishedAt}`,
      })),
  ]);
}
