/** What one tick did. Answered by the cron endpoint, logged, and kept in the ledger. */
export interface TickReport {
  queue: string;
  partition: string;
  tick: string;
  /** What called: `vercel`, `worker`, `local`, `http`, … */
  scheduler: string;
  /** The instant of the schedule this tick answers, ISO 8601, where it is known. */
  slot: string | null;
  /** 0 for the tick that a scheduler asked for; one that went on where it ended has the next number. */
  continuation: number;
  /** Shared by all ticks of one call, and by those that went on where they ended. */
  runId: string;
  outcome: 'ran' | 'idle' | 'skipped' | 'paused';
  /** Why it ended. Null where nothing was claimed because the tick was skipped. */
  ended: 'drained' | 'budget' | 'batch limit' | 'breaker' | 'paused' | 'stopped' | null;
  counts: TickCounts;
  budgetMs: number;
  /** The settings that were in force at its end; null before the first answer. A batch limit of null is none. */
  batchLimit: number | null;
  concurrency: number | null;
  maxContinuations: number | null;
  usedMs: number;
  lock: 'acquired' | 'held' | 'unavailable' | 'none';
  /** Rows of the partition that are due as the tick ends, counted to 1,000 at most; null if not counted. */
  backlogDue: number | null;
  /** Until the next row falls due; null when none waits. */
  nextDueInMs: number | null;
  performMs: { p50: number | null; p95: number | null };
  /** Calls to the database. */
  exchanges: number;
  /** The slot had already been delivered once. */
  duplicate: boolean;
  /** Unknown rows that were checked in the time that was left; absent where none were due. */
  checks?: Checks;
  /** In the ledger only: why the call was answered by an error. */
  fault?: string;
}

/** Unknown rows that the provider was asked about, and those of them that came to an end. */
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
  /** Outcomes that came too late: the row had been taken by another tick or an operator. */
  lost: number;
  /** Rows whose tick had died, taken out of `running` by this one. */
  swept: number;
}

/**
 * Whether another tick would get on at once: this one ended by its budget or its batch limit, and a row could start now. One that got
 * nowhere leaves what is due to the next slot, or it would go round for ever.
 */
export function hasMore({ ended, counts, nextDueInMs }: TickReport): boolean {
  const gotSomewhere = counts.claimed > counts.released;
  return (ended === 'budget' || ended === 'batch limit') && gotSomewhere && nextDueInMs === 0;
}
