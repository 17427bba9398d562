import { answers, iso8601, storiesOf } from '../enrolment-stories.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/** No reminder is claimed after the answer is known, even if the answer was known before the question's own outcome. */
export function noReminderAfterAnswer(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) =>
    story.rows
      .filter(({ isReminder }) => isReminder)
      .flatMap(({ row, step, claims }) => {
        const answer = story.replies.find((reply) => answers(story, reply, step));
        const claim = claims.find((at) => answer && at > answer.knownAt);
        if (!answer || claim === undefined) return [];
        return [
          {
            invariant: 'no reminder is claimed after the answer',
            details: `enrolment ${story.enrolled.id}: the reminder of step ${step} (row ${row.id}) was claimed at ${iso8601(claim)}, but the answer of ${iso8601(answer.madeAt)} was known at ${iso8601(answer.knownAt)}`,
          },
        ];
      }),
  );
}
