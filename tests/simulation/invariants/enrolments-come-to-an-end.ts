import type { Step } from '../draw-sequences.ts';
import { isOpenAt } from '../pace-reckoning.ts';
import type { FinishedRun } from '../run-simulation.ts';
import {
  answers,
  graceMs,
  lastSent,
  mayAnswer,
  openingAt,
  type Story,
  sentRow,
  storiesOf,
  told8601,
} from '../sequence-reckoning.ts';
import { minute, second } from '../world.ts';
import type { Violation } from './violation.ts';

const live = new Set(['pending', 'running', 'unknown']);

/** Every enrolment's steps went out, all of them, or it stands where one sees why not; and none stands though it could go on. */
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
  if (!final) return 'it is gone';
  const over =
    story.changes.findLast(({ phase }, n, all) => phase !== all[n - 1]?.phase)?.at ?? run.world.endAt;
  switch (final.phase) {
    case 'completed':
      return faultOfCompleted(story, over);
    case 'replied':
      return replies.some(({ knownAt }) => knownAt <= over) ? null : 'nobody replied';
    case 'stopped': {
      const byHand = acts.some(({ kind }) => kind === 'stop');
      // A person leaves the error as it was; who withdraws a message says why.
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
      return row && final.lastError ? null : 'no message of its step failed, or it does not say why';
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
  if (final.nextStepAt === null && !final.waitsFor) return 'it does not say what it waits for';
  const next = dueNext(story);
  if (next === null) return null;
  // A message whose time somebody moved by hand, and that was taken back, leaves its step due at that time.
  if (rows.some(({ isMoved }) => isMoved) && final.nextStepAt !== null && final.nextStepAt > run.world.endAt)
    return null;
  // Until then a message of its own held it back, or whoever acted.
  const held = [...rows.flatMap(({ changes }) => changes), ...acts].map(({ at }) => at);
  const from = Math.max(next.at, ...held);
  const until = run.world.endAt - graceMs;
  for (let at = from; at <= until; at += minute) {
    const opensAt = openingAt(next.hours, enrolled.zone, at, until);
    if (opensAt === null) return null;
    // Long enough for a tick to come by.
    const isLong = [10, 20, 30, 40].every((minutes) =>
      isOpenAt(next.hours, opensAt + minutes * minute, enrolled.zone),
    );
    if (isLong) return `${next.what} has been due since ${told8601(opensAt)}`;
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
    : 'its last question was neither answered nor given up';
}

/** Whether the time for an answer was over, and this is what the question says of it. */
function isGivenUp(story: Story, step: number, action: 'stop' | 'continue', at: number): boolean {
  const { no_reply } = story.enrolled.steps[step - 1] ?? {};
  const sentAt = sentRow(story, step)?.sentAt;
  return (
    no_reply?.action === action && sentAt !== undefined && sentAt + no_reply.after_seconds * second <= at
  );
}

/** Whether the hours of a reminder open only when the time for an answer is over: nobody is reminded then. */
function isPutOff({ enrolled }: Story, hours: Step['hours'], at: number, givenUpAt: number): boolean {
  if (givenUpAt === Number.POSITIVE_INFINITY) return false;
  const opensAt = openingAt(hours, enrolled.zone, at, givenUpAt);
  return opensAt === null || opensAt >= givenUpAt;
}

/** What comes next, and from when on it may; null when nothing does before somebody answers. */
function dueNext(story: Story): { what: string; at: number; hours: Step['hours'] } | null {
  const { steps, at: enrolledAt, person } = story.enrolled;
  const step = lastSent(story, Number.POSITIVE_INFINITY);
  const [own, next] = [steps[step - 1], steps[step]];
  const go = (from: number) => ({
    what: next ? `step ${step + 1}` : 'its end',
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
      what: `the reminder of step ${step}`,
      at: row.sentAt + reminder.after_seconds * second,
      hours: own.hours,
    };
  }
  if (!no_reply) return null;
  return no_reply.action === 'continue'
    ? go(Math.max(nextAt, givenUpAt))
    : { what: 'its end', at: givenUpAt, hours: null };
}
