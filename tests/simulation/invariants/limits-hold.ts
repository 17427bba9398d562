import type { FinishedRun } from '../run-simulation.ts';
import { second } from '../world.ts';
import { restartsOf } from './restarts-of.ts';
import type { Violation } from './violation.ts';

/** The shortest pause after a limit if the provider does not say how long it lasts. */
const defaultPauseSeconds = 60;

/** A limited account makes no further call, in any queue, for as long as the provider says, or for a minute if it does not say. */
export function limitsHold(run: FinishedRun): Violation[] {
  const queues = [run, run.posts];
  const claims = queues.flatMap(({ transitions }) => transitions.filter(({ to }) => to === 'running'));
  const limits = queues.flatMap(({ brought, transitions }) => {
    const accounts = new Map(transitions.map(({ rowId, accountId }) => [rowId, accountId]));
    return brought
      .filter(({ limitScope, verdict }) => limitScope === 'account' && verdict !== 'already')
      .map(({ rowId, at, accountPauseSeconds }) => {
        const until = at + (accountPauseSeconds ?? defaultPauseSeconds) * second;
        return { rowId, at, until, accountId: accounts.get(rowId) ?? '' };
      });
  });
  return limits.flatMap(({ rowId, at, until, accountId }) => {
    const ended = restartsOf(run, accountId).find((restart) => restart >= at) ?? Number.POSITIVE_INFINITY;
    const early = claims.find(
      (claim) => claim.accountId === accountId && claim.at > at && claim.at < Math.min(until, ended) - 1,
    );
    if (!early) return [];
    const details = `row ${rowId} met a limit of its account at ${new Date(at).toISOString()}, for ${(until - at) / second} s, but row ${early.rowId} was claimed at ${new Date(early.at).toISOString()}`;
    return [{ invariant: 'a limit holds its account', details }];
  });
}
