import type { FinishedRun } from '../run-simulation.ts';
import { answers, storiesOf, told8601 } from '../sequence-reckoning.ts';
import type { Violation } from './violation.ts';

/** A question that was answered gets no reminder: also where the answer was known before the question's own outcome was. */
export function answersHeard(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) =>
    story.rows
      .filter(({ isReminder }) => isReminder)
      .flatMap(({ row, step, claims }) => {
        const answer = story.replies.find((reply) => answers(story, reply, step));
        const claim = claims.find((at) => answer && at > answer.knownAt);
        if (!answer || claim === undefined) return [];
        return [
          {
            invariant: 'a question that was answered gets no reminder',
            details: `enrolment ${story.enrolled.id}: the reminder of step ${step} (row ${row.id}) was claimed at ${told8601(claim)}; an answer of ${told8601(answer.madeAt)} was known at ${told8601(answer.knownAt)}`,
          },
        ];
      }),
  );
}
