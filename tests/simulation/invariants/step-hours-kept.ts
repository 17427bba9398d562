import { iso8601, storiesOf } from '../enrolment-stories.ts';
import { isOpenAt, localTime } from '../expected-pace.ts';
import type { FinishedRun } from '../run-simulation.ts';
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
          invariant: "no message is claimed outside its step's hours",
          details: `enrolment ${enrolled.id}, step ${step} (row ${row.id}) was claimed at ${iso8601(at)}: ${JSON.stringify(localTime(at, enrolled.zone))} in ${enrolled.zone} is outside ${JSON.stringify(hours)}`,
        }));
    }),
  );
}
