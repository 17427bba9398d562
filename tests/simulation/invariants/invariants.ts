import type { FinishedRun } from '../run-simulation';
import { atMostOnce } from './at-most-once';
import { failuresHold } from './failures-hold';
import { lawfulTransitions } from './lawful-transitions';
import { nothingLost } from './nothing-lost';
import { orderKept } from './order-kept';
import { paceKept } from './pace-kept';
import { receiptsHeard } from './receipts-heard';
import { settlesFenced } from './settles-fenced';
import type { Violation } from './violation';

/** All that is judged when a run is over. */
export const invariants: ((run: FinishedRun) => Violation[])[] = [
  atMostOnce,
  nothingLost,
  paceKept,
  orderKept,
  lawfulTransitions,
  settlesFenced,
  failuresHold,
  receiptsHeard,
];
