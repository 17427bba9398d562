import { isOpenAt, localTime } from '../pace-reckoning.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { storiesOf, told8601 } from '../sequence-reckoning.ts';
import type { Violation } from './violation.ts';

/** No message of a step is claimed outside the step's hours, in the person's time zone. */
export function stepHoursKept(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap(({ enrolled, rows }) =>
    rows.flatMap(({ row, step, claims, isMoved }) => {
      if (isMoved) return [];
      const hours = enrolled.steps[step - 1]?.hours ?? null;
      return claims
        .filter((at) => !isOpenAt(hours, at, enrolled.zone))
        .map((at) => ({
          invariant: "a step's hours are kept",
          details: `enrolment ${enrolled.id}, step ${step} (row ${row.id}) was claimed at ${told8601(at)}: ${JSON.stringify(localTime(at, enrolled.zone))} in ${enrolled.zone} is outside ${JSON.stringify(hours)}`,
        }));
    }),
  );
}
