import type { FinishedRun } from '../run-simulation.ts';
import { mayAnswer, type StepRow, type Story, sentRow, storiesOf, told8601 } from '../sequence-reckoning.ts';
import { second } from '../world.ts';
import type { Violation } from './violation.ts';

/**
 * No step is claimed before its delay since the one before was sent, by our books and by the provider's; none after a question before it
 * was answered or given up; and no reminder before its time.
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
      invariant: 'delays are kept',
      details: `enrolment ${id}: ${isReminder ? 'the reminder of ' : ''}step ${step} (row ${row.id}) was claimed at ${told8601(at)}, ${details}`,
    },
  ];
  const [own, before] = [steps[step - 1], steps[step - 2]];
  if (!own || (isReminder && !own.reminder)) return fault('and there is none');
  if (step === 1 && !isReminder) {
    const from = Math.max(enrolledAt, (person.startAt ?? enrolledAt) + own.delay_seconds * second);
    return at < from ? fault(`before ${told8601(from)}`) : [];
  }
  const last = sentRow(story, isReminder ? step : step - 1, at);
  if (!last) return fault('and what comes before it was not sent');
  const since = (seconds: number) => last.sentAt + seconds * second;
  const from = since(isReminder ? (own.reminder?.after_seconds ?? 0) : own.delay_seconds);
  if (at < from) return fault(`before ${told8601(from)}`);
  if (isReminder || before?.kind !== 'question') return [];
  const isAnswered = story.replies.some((reply) => reply.knownAt <= at && mayAnswer(reply, last));
  const givenUpAt =
    before.no_reply?.action === 'continue' ? since(before.no_reply.after_seconds) : Number.POSITIVE_INFINITY;
  return isAnswered || at >= givenUpAt
    ? []
    : fault('and the question before it was neither answered nor given up');
}

/** What we take for the time at which a message went out is not before it did. */
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
        invariant: 'delays are kept (counted from before it went out)',
        details: `enrolment ${story.enrolled.id}, step ${step} (row ${row.id}): sent at ${told8601(sentAt)} by our books, delivered at ${delivered.map(({ deliveredAt }) => told8601(deliveredAt)).join(', ')}`,
      },
    ];
  });
}
