import type { Transition } from '../recorder.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { groupBy } from '../sequence-reckoning.ts';
import type { BroughtOutcome } from '../simulated-store.ts';
import type { Violation } from './violation.ts';

/**
 * An outcome moves a row only while the row bears the claim that the attempt was made under; one that comes when another claim has the
 * row is told so.
 */
export function settlesFenced(run: FinishedRun): Violation[] {
  const enrolments = run.enrolmentChanges.map(({ enrolmentId, ...change }) => ({
    ...change,
    rowId: enrolmentId,
  }));
  return [
    ...[run, run.posts, run.jobs].flatMap(({ brought, transitions }) => unfenced(brought, transitions)),
    ...unfenced(run.broughtByEnrolments, enrolments),
  ];
}

type Mark = Pick<Transition, 'rowId' | 'call' | 'to' | 'claimId'>;

function unfenced(brought: BroughtOutcome[], marks: Mark[]): Violation[] {
  const byRow = groupBy(marks, ({ rowId }) => rowId);
  return brought
    .filter(({ verdict }) => verdict !== 'lost')
    .filter(({ rowId, claimId, call }) => {
      const own = byRow.get(rowId) ?? [];
      // What the row bore when the outcome came is what it bears since: settling leaves the mark on it. A claim in the same call comes after.
      const settled = own.findLast((transition) => transition.call === call && transition.to !== 'running');
      const mark = settled ?? own.findLast((transition) => transition.call < call);
      return mark?.claimId !== claimId;
    })
    .map(({ rowId, claimId, outcome, verdict, at }) => ({
      invariant: 'no settle but under the own claim of the row',
      details: `row ${rowId} took "${outcome}" (${verdict}) of the claim ${claimId} at ${new Date(at).toISOString()}`,
    }));
}
