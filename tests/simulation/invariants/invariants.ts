import type { FinishedRun } from '../run-simulation.ts';
import { atMostOnce } from './at-most-once.ts';
import { claimsDue } from './claims-due.ts';
import { delaysKept } from './delays-kept.ts';
import { enrolmentsComeToAnEnd } from './enrolments-come-to-an-end.ts';
import { failuresHold } from './failures-hold.ts';
import { jobsDone } from './jobs-done.ts';
import { limitsHold } from './limits-hold.ts';
import { messagesAndEnrolmentsAgree } from './messages-and-enrolments-agree.ts';
import { noReminderAfterAnswer } from './no-reminder-after-answer.ts';
import { nothingLost } from './nothing-lost.ts';
import { orderKept } from './order-kept.ts';
import { paceKept } from './pace-kept.ts';
import { receiptsApplied } from './receipts-applied.ts';
import { refusalsCostLittle } from './refusals-cost-little.ts';
import { retentionKept } from './retention-kept.ts';
import { settlesFenced } from './settles-fenced.ts';
import { stepHoursKept } from './step-hours-kept.ts';
import { stepsOnceInOrder } from './steps-once-in-order.ts';
import { stopsHeeded } from './stops-heeded.ts';
import { validTransitions } from './valid-transitions.ts';
import type { Violation } from './violation.ts';
import { windowsKept } from './windows-kept.ts';

/** The invariants that are checked when a run is finished. */
export const invariants: ((run: FinishedRun) => Violation[])[] = [
  atMostOnce,
  nothingLost,
  paceKept,
  orderKept,
  validTransitions,
  settlesFenced,
  failuresHold,
  limitsHold,
  refusalsCostLittle,
  claimsDue,
  jobsDone,
  receiptsApplied,
  retentionKept,
  stepsOnceInOrder,
  enrolmentsComeToAnEnd,
  stopsHeeded,
  stepHoursKept,
  delaysKept,
  noReminderAfterAnswer,
  messagesAndEnrolmentsAgree,
  windowsKept,
];
