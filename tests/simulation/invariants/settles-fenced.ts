import { groupBy } from '../enrolment-stories.ts';
import type { Transition } from '../recorder.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { BroughtOutcome } from '../simulated-store.ts';
import type { Violation } from './violation.ts';

/** An outcome changes a row only under the row's own claim; under another claim the verdict is `lost`. */
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
      // A settle keeps the claim's id on the row, and the same call claims only after it settles.
      const settled = own.findLast((transition) => transition.call === call && transition.to !== 'running');
      const mark = settled ?? own.findLast((transition) => transition.call < call);
      return mark?.claimId !== claimId;
    })
    .map(({ rowId, claimId, outcome, verdict, at }) => ({
      invariant: 'an outcome counts only under its own claim',
      details: `row ${rowId} accepted "${outcome}" (${verdict}) of another claim, ${claimId}, at ${new Date(at).toISOString()}`,
    }));
}
