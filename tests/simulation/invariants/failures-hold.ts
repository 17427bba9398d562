import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { second } from '../world.ts';
import type { Violation } from './violation.ts';

/** A row that waits for its retry holds its account, so that the rows behind it do not overtake it. */
export function failuresHold(run: FinishedRun): Violation[] {
  return [run, run.posts].flatMap(brokenHolds);
}

function brokenHolds({ brought, transitions, intents }: PacedRun): Violation[] {
  const claims = new Map<string, { at: number; rowId: string }[]>();
  for (const { accountId, to, at, rowId } of transitions) {
    if (to === 'running') claims.set(accountId, [...(claims.get(accountId) ?? []), { at, rowId }]);
  }
  return brought
    .filter(({ verdict, outcome, limitScope, delaySeconds }) => {
      return verdict === 'applied' && outcome === 'retry' && limitScope !== 'pair' && delaySeconds !== null;
    })
    .flatMap(({ rowId, at, delaySeconds, claimId }) => {
      const accountId = intents.get(rowId)?.account.id ?? '';
      // An outcome that came late, after the row had left the claim, holds nothing.
      const own = transitions.find(
        (transition) => transition.rowId === rowId && transition.at === at && transition.claimId === claimId,
      );
      if (own?.from !== 'running') return [];
      const until = at + (delaySeconds ?? 0) * second;
      const early = claims.get(accountId)?.find((claim) => claim.at >= at && claim.at < until - 1);
      // A row that was withdrawn meanwhile no longer holds the account.
      const isGone = transitions.some(
        (transition) =>
          transition.rowId === rowId &&
          transition.from === 'pending' &&
          transition.to !== 'running' &&
          transition.at >= at &&
          transition.at <= (early?.at ?? 0),
      );
      if (!early || isGone) return [];
      const details = `row ${rowId} failed at ${new Date(at).toISOString()}, with a retry after ${delaySeconds} s, but row ${early.rowId} was claimed at ${new Date(early.at).toISOString()}`;
      return [{ invariant: 'a failure holds its account', details }];
    });
}
