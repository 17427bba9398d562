import { iso8601, mayAnswer, type StepRow, type Story, sentRow, storiesOf } from '../enrolment-stories.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { second } from '../world.ts';
import type { Violation } from './violation.ts';

/**
 * No step is claimed before its delay has passed since the step before was sent, by our record and by the provider's. No step after a
 * question is claimed before the question is answered or its deadline has passed, and no reminder before its time.
 */
export function delaysKept(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) => [
    ...story.rows.flatMap((row) => row.claims.flatMap((at) => tooEarly(story, row, at))),
    ...sentTooEarly(story),
  ]);
}

function tooEarly(story: Story, { row, step, isReminder, isMoved }: StepRow, at: number): Violation[] {
  if (isMoved) return [];
  const { id, steps, at: enrolledAt, person } = story.enrolled;
  const fault = (details: string) => [
    {
      invariant: 'no step is claimed before its delay has passed',
      details: `enrolment ${id}: ${isReminder ? 'the reminder of ' : ''}step ${step} (row ${row.id}) was claimed at ${iso8601(at)}, ${details}`,
    },
  ];
  const [own, before] = [steps[step - 1], steps[step - 2]];
  if (!own || (isReminder && !own.reminder)) return fault('but there is no such message');
  if (step === 1 && !isReminder) {
    const from = Math.max(enrolledAt, (person.startAt ?? enrolledAt) + own.delay_seconds * second);
    return at < from ? fault(`before ${iso8601(from)}`) : [];
  }
  const last = sentRow(story, isReminder ? step : step - 1, at);
  if (!last) return fault('but the message before it was not sent');
  const since = (seconds: number) => last.sentAt + seconds * second;
  const from = since(isReminder ? (own.reminder?.after_seconds ?? 0) : own.delay_seconds);
  if (at < from) return fault(`before ${iso8601(from)}`);
  if (isReminder || before?.kind !== 'question') return [];
  const isAnswered = story.replies.some((reply) => reply.knownAt <= at && mayAnswer(reply, last));
  const givenUpAt =
    before.no_reply?.action === 'continue' ? since(before.no_reply.after_seconds) : Number.POSITIVE_INFINITY;
  return isAnswered || at >= givenUpAt
    ? []
    : fault('but the question before it was not answered and its deadline had not passed');
}

/** Our sent_at of a message is not earlier than its delivery. */
function sentTooEarly(story: Story): Violation[] {
  return story.rows.flatMap(({ row, step, isReminder, sentAt, changes }) => {
    const isByHand = changes.some(({ to, byHand }) => to === 'done' && byHand !== null);
    const delivered = story.delivered(step, isReminder);
    if (
      sentAt === null ||
      isByHand ||
      delivered.length === 0 ||
      delivered.some(({ deliveredAt }) => deliveredAt <= sentAt)
    )
      return [];
    return [
      {
        invariant: 'no delay counts from before the delivery',
        details: `enrolment ${story.enrolled.id}, step ${step} (row ${row.id}): sent at ${iso8601(sentAt)} by our record, delivered at ${delivered.map(({ deliveredAt }) => iso8601(deliveredAt)).join(', ')}`,
      },
    ];
  });
}
