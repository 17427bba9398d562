/** What one tick did: the response of its cron endpoint, a log line, and a row of the ledger. */
export interface TickReport {
  queue: string;
  partition: string;
  tick: string;
  /** `vercel`, `worker`, `local`, `http`, … */
  scheduler: string;
  /** The slot that the tick answers, ISO 8601; null if unknown. */
  slot: string | null;
  /** 0 for the scheduler's own call; each continuation has the next number. */
  continuation: number;
  /** Shared by the ticks of a call and their continuations. */
  runId: string;
  outcome: 'ran' | 'idle' | 'skipped' | 'paused';
  /** Why it ended; null if it was skipped. */
  ended: 'drained' | 'budget' | 'batch limit' | 'breaker' | 'paused' | 'stopped' | null;
  counts: TickCounts;
  budgetMs: number;
  /** The settings in force at the end; null if no exchange succeeded. A batch limit of null is none. */
  batchLimit: number | null;
  concurrency: number | null;
  maxContinuations: number | null;
  usedMs: number;
  lock: 'acquired' | 'held' | 'unavailable' | 'none';
  /** Due rows of the partition at the end, counted to 1,000; null if not counted. */
  backlogDue: number | null;
  /** Milliseconds until the next row falls due; null if none is pending. */
  nextDueInMs: number | null;
  performMs: { p50: number | null; p95: number | null };
  /** Calls to the database. */
  exchanges: number;
  /** The slot had been delivered before. */
  duplicate: boolean;
  /** Checks of unknown rows after the tick; absent if none were due. */
  checks?: Checks;
  /** In the ledger only: the error with which the call ended. */
  fault?: string;
}

/** Unknown rows that were checked, and those of them that were resolved. */
export interface Checks {
  checked: number;
  resolved: number;
}

export interface TickCounts {
  claimed: number;
  done: number;
  retried: number;
  again: number;
  dead: number;
  unknown: number;
  released: number;
  /** Outcomes that came too late: another claim had the row, or a sweep had made it pending. */
  lost: number;
  /** Rows recovered from ticks that died. */
  swept: number;
}

export const noCounts: Readonly<TickCounts> = {
  claimed: 0,
  done: 0,
  retried: 0,
  again: 0,
  dead: 0,
  unknown: 0,
  released: 0,
  lost: 0,
  swept: 0,
};
