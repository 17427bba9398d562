import type { FinishedRun } from '../run-simulation';
import { answersHeard } from './answers-heard';
import { atMostOnce } from './at-most-once';
import { claimsDue } from './claims-due';
import { delaysKept } from './delays-kept';
import { enrolmentsComeToAnEnd } from './enrolments-come-to-an-end';
import { failuresHold } from './failures-hold';
import { jobsDone } from './jobs-done';
import { lawfulTransitions } from './lawful-transitions';
import { limitsHold } from './limits-hold';
import { messagesAndEnrolmentsAgree } from './messages-and-enrolments-agree';
import { nothingLost } from './nothing-lost';
import { orderKept } from './order-kept';
import { paceKept } from './pace-kept';
import { receiptsHeard } from './receipts-heard';
import { refusalsCostLittle } from './refusals-cost-little';
import { retentionKept } from './retention-kept';
import { settlesFenced } from './settles-fenced';
import { stepHoursKept } from './step-hours-kept';
import { stepsOnceInOrder } from './steps-once-in-order';
import { stopsHeeded } from './stops-heeded';
import type { Violation } from './violation';
import { windowsKept } from './windows-kept';

/** All that is judged when a run is over. */
export const invariants: ((run: FinishedRun) => Violation[])[] = [
  atMostOnce,
  nothingLost,
  paceKept,
  orderKept,
  lawfulTransitions,
  settlesFenced,
  failuresHold,
  limitsHold,
  refusalsCostLittle,
  claimsDue,
  jobsDone,
  receiptsHeard,
  retentionKept,
  stepsOnceInOrder,
  enrolmentsComeToAnEnd,
  stopsHeeded,
  stepHoursKept,
  delaysKept,
  answersHeard,
  messagesAndEnrolmentsAgree,
  windowsKept,
];
