import type { Transition } from '../recorder';
import type { FinishedRun } from '../run-simulation';
import type { Violation } from './violation';

/**
 * An outcome moves a row only while the row bears the claim that the attempt was made under; one that comes when another claim has the
 * row is told so.
 */
export function settlesFenced({ brought, transitions }: FinishedRun): Violation[] {
  const byRow = new Map<string, Transition[]>();
  for (const transition of transitions) {
    const own = byRow.get(transition.rowId);
    if (own) own.push(transition);
    else byRow.set(transition.rowId, [transition]);
  }
  return brought
    .filter(({ verdict }) => verdict !== 'lost')
    .filter(({ rowId, claimId, at }) => {
      const own = byRow.get(rowId) ?? [];
      // What the row bore when the outcome came is what it bears since: settling leaves the mark on it. A claim in the same call comes after.
      const settled = own.findLast((transition) => transition.at === at && transition.to !== 'sending');
      const mark = settled ?? own.findLast((transition) => transition.at < at);
      return mark?.claimId !== claimId;
    })
    .map(({ rowId, claimId, outcome, verdict, at }) => ({
      invariant: 'no settle but under the own claim of the row',
      details: `row ${rowId} took "${outcome}" (${verdict}) of the claim ${claimId} at ${new Date(at).toISOString()}`,
    }));
}
