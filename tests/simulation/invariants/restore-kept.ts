import type { FinishedRun, PacedRun, RestoredRun } from '../run-simulation.ts';
import { textOf } from '../sequence-reckoning.ts';
import { deliveredTooOften } from './at-most-once.ts';
import { claimsDue } from './claims-due.ts';
import { jobsDone } from './jobs-done.ts';
import { lawfulTransitions } from './lawful-transitions.ts';
import { messagesAndEnrolmentsAgree } from './messages-and-enrolments-agree.ts';
import { nothingLost } from './nothing-lost.ts';
import { orderKept } from './order-kept.ts';
import { paceKept } from './pace-kept.ts';
import { stepsOnce } from './steps-once-in-order.ts';
import type { Violation } from './violation.ts';

/**
 * After a restore and its runbook: what went out in the time that the database has forgotten went out once, and what is left is carried on
 * by the same rules.
 */
export function restoreKept(before: FinishedRun, restored: RestoredRun): Violation[] {
  const remembered = ofWhatIsRemembered(before, restored);
  return [
    ...sentOnce(before, restored),
    ...lawfulTransitions(withoutDoubts(remembered)),
    ...[nothingLost, paceKept, orderKept, claimsDue, jobsDone, messagesAndEnrolmentsAgree].flatMap(
      (invariant) => invariant(remembered),
    ),
  ].map(({ invariant, details }) => ({ invariant: `after a restore: ${invariant}`, details }));
}

/** By the provider's books of both times, and by what was wanted in the first: the rows of the second stand for the same. */
function sentOnce(before: FinishedRun, restored: RestoredRun): Violation[] {
  const steps = new Set(
    [...before.enrolled.values()].flatMap((enrolled) =>
      enrolled.steps.flatMap((_, n) => [textOf(enrolled, n + 1, false), textOf(enrolled, n + 1, true)]),
    ),
  );
  const twice = (first: PacedRun, second: PacedRun) => {
    const messages = second.messages
      .filter(({ text }) => !steps.has(text))
      // Of rows that were queued anew.
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

/** Without what others did in the lost time. */
function ofWhatIsRemembered(before: FinishedRun, run: RestoredRun): FinishedRun {
  const { lost } = run;
  const isRemembered = (at: number) => at < lost.from || at >= lost.to;
  const paced = (first: PacedRun, queue: PacedRun, lostRows: Set<string>): PacedRun => {
    const texts = new Set([...first.intents].filter(([id]) => lostRows.has(id)).map(([, { body }]) => body));
    // What was sent of a row that is gone cannot be told from what was sent of another with the same text.
    const twins = [...queue.intents].filter(([, { body }]) => texts.has(body)).map(([id]) => id);
    return {
      ...queue,
      calls: queue.calls.filter(({ at }) => isRemembered(at)),
      handled: new Set([...queue.handled, ...twins]),
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

/** Without what `after_restore` itself did: nothing else makes a row unknown that was not running. */
function withoutDoubts(run: FinishedRun): FinishedRun {
  const own = <Run extends PacedRun>(queue: Run): Run => ({
    ...queue,
    transitions: queue.transitions.filter(
      ({ to, lastError }) => to !== 'unknown' || !lastError?.startsWith('the database went back'),
    ),
  });
  return { ...own(run), posts: own(run.posts) };
}
