import type { FinishedRun } from '../run-simulation.ts';
import { type Story, sentRow, storiesOf, told8601 } from '../sequence-reckoning.ts';
import type { Violation } from './violation.ts';

/** By the provider's own books: each step of an enrolment went out once at most, and none before the one before it had. */
export function stepsOnceInOrder(run: FinishedRun): Violation[] {
  return [
    ...stepsOnce(run),
    ...storiesOf(run).flatMap((story) => story.enrolled.steps.flatMap((_, n) => outOfOrder(story, n + 1))),
  ];
}

export function stepsOnce(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) => story.enrolled.steps.flatMap((_, n) => repeated(story, n + 1)));
}

function repeated(story: Story, step: number): Violation[] {
  return [false, true].flatMap((isReminder) => {
    const delivered = story.delivered(step, isReminder);
    // Who gives a message up by hand, and resumes its enrolment, has it sent again.
    const givenUp = story.rows.filter((row) => {
      const isSame = row.step === step && row.isReminder === isReminder;
      return isSame && row.changes.some(({ byHand }) => byHand === 'dead');
    });
    if (delivered.length <= 1 + givenUp.length) return [];
    const times = delivered.map(({ id, deliveredAt }) => `${id} at ${told8601(deliveredAt)}`).join(', ');
    return [
      {
        invariant: 'a step goes out once',
        details: `enrolment ${story.enrolled.id}, ${isReminder ? 'the reminder of ' : ''}step ${step}: ${times}`,
      },
    ];
  });
}

function outOfOrder(story: Story, step: number): Violation[] {
  const fault = (details: string) => [
    { invariant: 'steps go out in order', details: `enrolment ${story.enrolled.id}: ${details}` },
  ];
  const calls = story.calls(step, false);
  for (const { at } of calls) {
    const before = story.delivered(step - 1, false);
    // What was accepted, and turned out not to have arrived, was sent as far as anybody could know.
    const wasSettled = (sentRow(story, step - 1, at)?.sentAt ?? Number.POSITIVE_INFINITY) <= at;
    if (step > 1 && !before.some(({ deliveredAt }) => deliveredAt <= at) && !wasSettled) {
      return fault(
        `step ${step} reached the provider at ${told8601(at)}, and step ${step - 1} had not gone out`,
      );
    }
  }
  const next = Math.min(...story.calls(step + 1, false).map(({ at }) => at));
  for (const row of story.rows) {
    if (!row.isReminder || row.step !== step) continue;
    const early = row.claims.find((at) => sentRow(story, step, at) === null);
    if (early !== undefined)
      return fault(
        `the reminder of step ${step} was claimed at ${told8601(early)}, and its question was not sent`,
      );
    const late = row.claims.find((at) => at > next);
    if (late !== undefined)
      return fault(
        `the reminder of step ${step} was claimed at ${told8601(late)}, after step ${step + 1} had gone out`,
      );
  }
  return [];
}
