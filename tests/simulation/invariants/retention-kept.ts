import type { FinishedRun } from '../run-simulation.ts';
import { day } from '../world.ts';
import type { Violation } from './violation.ts';

/** Nothing goes but by retention and by hand, nor before its time; and what is past its time goes. */
export function retentionKept(run: FinishedRun): Violation[] {
  const { retentionDays, endAt } = run.world;
  const keptMs = (retentionDays ?? Number.POSITIVE_INFINITY) * day;
  return [run, run.posts, run.jobs].flatMap(({ queue, transitions, prunes, rows }) => [
    ...transitions
      .filter(({ to, byHand, call, finishedAt, at }) => {
        const isLawful = prunes.has(call) && (finishedAt ?? Number.POSITIVE_INFINITY) < at - keptMs;
        return to === 'gone' && byHand === null && !isLawful;
      })
      .map(({ rowId, from, at, finishedAt }) => ({
        invariant: 'nothing is deleted before its time',
        details: `${queue} ${rowId}, ${from} since ${finishedAt}, at ${at}`,
      })),
    ...rows
      .filter(({ gone, finishedAt, status }) => {
        // Retention runs twice a day, and takes what has been rolled up: a day, and the one before it.
        const isOld = finishedAt !== null && finishedAt < endAt - keptMs - 2.5 * day;
        return gone === null && isOld && ['done', 'dead', 'cancelled'].includes(status);
      })
      .map(({ id, status, finishedAt }) => ({
        invariant: 'what is past its retention goes',
        details: `${queue} ${id} is ${status} since ${finishedAt}`,
      })),
  ]);
}
