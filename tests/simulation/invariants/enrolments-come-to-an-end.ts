import type { Step } from '../draw-sequences.ts';
import {
  answers,
  graceMs,
  iso8601,
  lastSent,
  mayAnswer,
  openingAt,
  type Story,
  sentRow,
  storiesOf,
} from '../enrolment-stories.ts';
import { isOpenAt } from '../expected-pace.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { minute, second } from '../world.ts';
import type { Violation } from './violation.ts';

const live = new Set(['pending', 'running', 'unknown']);

/** Every enrolment has sent all its steps or gives the reason why not, and none waits that could go on. */
export function enrolmentsComeToAnEnd(run: FinishedRun): Violation[] {
  return storiesOf(run).flatMap((story) => {
    const fault = faultOf(story, run);
    if (fault === null) return [];
    const details = `enrolment ${story.enrolled.id} (${JSON.stringify(story.final)}): ${fault}`;
    return [{ invariant: 'no step of an enrolment is lost', details }];
  });
}

function faultOf(story: Story, run: FinishedRun): string | null {
  const { final, rows, acts, replies, enrolled } = story;
  if (!final) return 'it does not exist';
  const over =
    story.changes.findLast(({ phase }, n, all) => phase !== all[n - 1]?.phase)?.at ?? run.world.endAt;
  switch (final.phase) {
    case 'completed':
      return faultOfCompleted(story, over);
    case 'replied':
      return replies.some(({ knownAt }) => knownAt <= over) ? null : 'nobody replied';
    case 'stopped': {
      const byHand = acts.some(({ kind }) => kind === 'stop');
      // A cancellation by a person keeps the error as it was. A withdrawal sets it to the reason.
      const cancelled = rows.some(({ changes }) =>
        changes.some(
          ({ to, lastError, byHand }, n) =>
            (to === 'cancelled' && lastError === (changes[n - 1]?.lastError ?? null)) || byHand === 'deleted',
        ),
      );
      return byHand || cancelled || isGivenUp(story, lastSent(story, over), 'stop', over)
        ? null
        : 'nobody stopped it';
    }
    case 'failed': {
      const row = rows.find(({ row: { status }, step }) => status === 'dead' && step === final.step);
      return row && final.lastError ? null : 'no message of its step failed, or it gives no reason';
    }
    default:
      break;
  }
  if (final.messageId !== null) {
    const row = rows.find(({ row: { id } }) => id === final.messageId);
    return row && live.has(row.row.status) && final.waitsFor
      ? null
      : 'it waits for a message that is not on its way';
  }
  if (final.paused) return acts.at(-1)?.kind === 'pause' ? null : 'nobody paused it';
  if (final.nextStepAt === null && !final.waitsFor) return 'it waits without a reason';
  const next = dueNext(story);
  if (next === null) return null;
  // If a message is withdrawn after a person moved its due time, its step stays due at that time.
  if (rows.some(({ isMoved }) => isMoved) && final.nextStepAt !== null && final.nextStepAt > run.world.endAt)
    return null;
  // A message of its own or an operator may have held it until the last change.
  const held = [...rows.flatMap(({ changes }) => changes), ...acts].map(({ at }) => at);
  const from = Math.max(next.at, ...held);
  const until = run.world.endAt - graceMs;
  for (let at = from; at <= until; at += minute) {
    const opensAt = openingAt(next.hours, enrolled.zone, at, until);
    if (opensAt === null) return null;
    // The hours stay open long enough for a tick to come.
    const isLong = [10, 20, 30, 40].every((minutes) =>
      isOpenAt(next.hours, opensAt + minutes * minute, enrolled.zone),
    );
    if (isLong) return `${next.label} has been due since ${iso8601(opensAt)}`;
    at = opensAt;
  }
  return null;
}

function faultOfCompleted(story: Story, over: number): string | null {
  const { steps } = story.enrolled;
  for (let step = 1; step <= steps.length; step++) {
    if (story.delivered(step, false).length === 0 && !sentRow(story, step))
      return `step ${step} never went out`;
  }
  const last = steps.at(-1);
  if (last?.kind !== 'question') return null;
  const row = sentRow(story, steps.length);
  const isAnswered = story.replies.some((reply) => row && reply.knownAt <= over && mayAnswer(reply, row));
  return isAnswered || isGivenUp(story, steps.length, 'continue', over)
    ? null
    : 'its last question was not answered and its deadline has not passed';
}

/** Whether the question's deadline had passed and this is the action it names. */
function isGivenUp(story: Story, step: number, action: 'stop' | 'continue', at: number): boolean {
  const { no_reply } = story.enrolled.steps[step - 1] ?? {};
  const sentAt = sentRow(story, step)?.sentAt;
  return (
    no_reply?.action === action && sentAt !== undefined && sentAt + no_reply.after_seconds * second <= at
  );
}

/** Whether the reminder's hours open only after the question's deadline, so that there is no reminder. */
function isPutOff({ enrolled }: Story, hours: Step['hours'], at: number, givenUpAt: number): boolean {
  if (givenUpAt === Number.POSITIVE_INFINITY) return false;
  const opensAt = openingAt(hours, enrolled.zone, at, givenUpAt);
  return opensAt === null || opensAt >= givenUpAt;
}

/** Returns what the enrolment does next and from when on, or null if only an answer can move it on. */
function dueNext(story: Story): { label: string; at: number; hours: Step['hours'] } | null {
  const { steps, at: enrolledAt, person } = story.enrolled;
  const step = lastSent(story, Number.POSITIVE_INFINITY);
  const [own, next] = [steps[step - 1], steps[step]];
  const go = (from: number) => ({
    label: next ? `step ${step + 1}` : 'its end',
    at: from,
    hours: next?.hours ?? null,
  });
  if (step === 0) {
    return next
      ? go(Math.max(enrolledAt, (person.startAt ?? enrolledAt) + next.delay_seconds * second))
      : null;
  }
  const row = sentRow(story, step);
  if (!row || !own) return null;
  const nextAt = row.sentAt + (next?.delay_seconds ?? 0) * second;
  if (own.kind === 'message') return go(nextAt);
  const answer = story.replies.find((reply) => answers(story, reply, step));
  if (answer) return go(Math.max(nextAt, answer.knownAt, row.sentAt));
  const { reminder, no_reply } = own;
  const givenUpAt = no_reply ? row.sentAt + no_reply.after_seconds * second : Number.POSITIVE_INFINITY;
  if (
    reminder &&
    !isPutOff(story, own.hours, row.sentAt + reminder.after_seconds * second, givenUpAt) &&
    !story.rows.some(({ step: n, isReminder, sentAt }) => n === step && isReminder && sentAt !== null)
  ) {
    return {
      label: `the reminder of step ${step}`,
      at: row.sentAt + reminder.after_seconds * second,
      hours: own.hours,
    };
  }
  if (!no_reply) return null;
  return no_reply.action === 'continue'
    ? go(Math.max(nextAt, givenUpAt))
    : { label: 'its end', at: givenUpAt, hours: null };
}
