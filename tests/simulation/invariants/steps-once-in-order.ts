import { iso8601, type Story, sentRow, storiesOf } from '../enrolment-stories.ts';
import type { FinishedRun } from '../run-simulation.ts';
import type { Violation } from './violation.ts';

/** By the provider's own record, each step of an enrolment went out at most once, and none before the step before it. */
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
    // A message that a person settled as dead is sent again when the enrolment is resumed.
    const givenUp = story.rows.filter((row) => {
      const isSame = row.step === step && row.isReminder === isReminder;
      return isSame && row.changes.some(({ byHand }) => byHand === 'dead');
    });
    if (delivered.length <= 1 + givenUp.length) return [];
    const times = delivered.map(({ id, deliveredAt }) => `${id} at ${iso8601(deliveredAt)}`).join(', ');
    return [
      {
        invariant: 'each step goes out at most once',
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
    // A message that was accepted and later turned out undeliverable counts as sent until then.
    const wasSettled = (sentRow(story, step - 1, at)?.sentAt ?? Number.POSITIVE_INFINITY) <= at;
    if (step > 1 && !before.some(({ deliveredAt }) => deliveredAt <= at) && !wasSettled) {
      return fault(
        `step ${step} reached the provider at ${iso8601(at)}, but step ${step - 1} had not gone out`,
      );
    }
  }
  const next = Math.min(...story.calls(step + 1, false).map(({ at }) => at));
  for (const row of story.rows) {
    if (!row.isReminder || row.step !== step) continue;
    const early = row.claims.find((at) => sentRow(story, step, at) === null);
    if (early !== undefined)
      return fault(
        `the reminder of step ${step} was claimed at ${iso8601(early)}, but its question was not sent`,
      );
    const late = row.claims.find((at) => at > next);
    if (late !== undefined)
      return fault(
        `the reminder of step ${step} was claimed at ${iso8601(late)}, after step ${step + 1} had gone out`,
      );
  }
  return [];
}
