import { textOf } from '../enrolment-stories.ts';
import type { FinishedRun, PacedRun, RestoredRun } from '../run-simulation.ts';
import { deliveredTooOften } from './at-most-once.ts';
import { claimsDue } from './claims-due.ts';
import { jobsDone } from './jobs-done.ts';
import { messagesAndEnrolmentsAgree } from './messages-and-enrolments-agree.ts';
import { nothingLost } from './nothing-lost.ts';
import { orderKept } from './order-kept.ts';
import { paceKept } from './pace-kept.ts';
import { stepsOnce } from './steps-once-in-order.ts';
import { validTransitions } from './valid-transitions.ts';
import type { Violation } from './violation.ts';

/** After a restore and its runbook no message of the lost time goes out again, and the remaining work keeps the same rules. */
export function restoreKept(before: FinishedRun, restored: RestoredRun): Violation[] {
  const remembered = withoutLostTime(before, restored);
  return [
    ...sentOnce(before, restored),
    ...validTransitions(withoutDoubts(remembered)),
    ...[nothingLost, paceKept, orderKept, claimsDue, jobsDone, messagesAndEnrolmentsAgree].flatMap(
      (invariant) => invariant(remembered),
    ),
  ].map(({ invariant, details }) => ({ invariant: `after a restore: ${invariant}`, details }));
}

/** Compares the provider's whole record with the intents of the first run, because rows queued again stand for the same intents. */
function sentOnce(before: FinishedRun, restored: RestoredRun): Violation[] {
  const steps = new Set(
    [...before.enrolled.values()].flatMap((enrolled) =>
      enrolled.steps.flatMap((_, n) => [textOf(enrolled, n + 1, false), textOf(enrolled, n + 1, true)]),
    ),
  );
  const twice = (first: PacedRun, second: PacedRun) => {
    const messages = second.messages
      .filter(({ text }) => !steps.has(text))
      // Drops references to rows that were queued again.
      .map((message) => {
        const isKnown = first.intents.has(message.reference?.split('/')[1] ?? '');
        return { ...message, reference: isKnown ? message.reference : null };
      });
    return deliveredTooOften({ ...first, messages });
  };
  return [
    ...twice(before, restored),
    ...twice(before.posts, restored.posts),
    ...stepsOnce({ ...before, messages: restored.messages }),
  ];
}

/** Returns the run without the calls and rows of the lost time. */
function withoutLostTime(before: FinishedRun, run: RestoredRun): FinishedRun {
  const { lost } = run;
  const isRemembered = (at: number) => at < lost.from || at >= lost.to;
  const paced = (first: PacedRun, queue: PacedRun, lostRows: Set<string>): PacedRun => {
    const texts = new Set([...first.intents].filter(([id]) => lostRows.has(id)).map(([, { body }]) => body));
    // A message of a lost row looks like one of another row with the same text.
    const twins = [...queue.intents].filter(([, { body }]) => texts.has(body)).map(([id]) => id);
    // A retry of the lost time is a decision, which a person makes again: docs/restore.md. The row that it sent is dead.
    const retried = first.transitions
      .filter(({ at, from }) => from === 'dead' && !isRemembered(at))
      .map(({ rowId }) => rowId);
    return {
      ...queue,
      calls: queue.calls.filter(({ at }) => isRemembered(at)),
      handled: new Set([...queue.handled, ...twins, ...retried]),
    };
  };
  const jobs = new Set(run.jobs.rows.map(({ id }) => id));
  return {
    ...run,
    ...paced(before, run, lost.dms),
    posts: paced(before.posts, run.posts, lost.posts),
    jobs: {
      ...run.jobs,
      drawn: new Map([...run.jobs.drawn].filter(([id]) => jobs.has(id))),
    },
  };
}

/** Returns the run without the changes of `after_restore`, which alone makes rows unknown that were not running. */
function withoutDoubts(run: FinishedRun): FinishedRun {
  const own = <Run extends PacedRun>(queue: Run): Run => ({
    ...queue,
    transitions: queue.transitions.filter(
      ({ to, lastError }) => to !== 'unknown' || !lastError?.startsWith('the database went back'),
    ),
  });
  return { ...own(run), posts: own(run.posts) };
}
