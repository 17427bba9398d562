import type { Result } from '../outcome.ts';
import type { TickCounts } from '../tick-report.ts';

/** The engine's calls to the database. `lib/store` implements them with SQL functions. They throw `StoreError`s. */
export interface QueueStore {
  /** Settles outcomes, claims due rows and closes the tick, in one transaction. */
  exchange(request: ExchangeRequest): Promise<ExchangeReply>;
  /**
   * Takes unknown rows whose check is due, at most as many as the queue's concurrency. A row without a finding can be taken again after
   * `leaseSeconds`.
   */
  takeUnknown(request: { queue: string; providers: string[]; leaseSeconds: number }): Promise<UnknownRow[]>;
  /** Settles the findings of checks. Returns how many counted, and how many rows they resolved. Skips locked rows. */
  settleFindings(queue: string, findings: CheckedRow[]): Promise<{ checked: number; resolved: number }>;
}

export interface ExchangeRequest {
  tick: TickIdentity;
  /** 1 for the tick's first exchange, and one more after each response. A repeat under the same number returns the same rows. */
  seq: number;
  settlements: Settlement[];
  providers: ProviderNote[];
  /** The progress of running rows. */
  progress: ProgressNote[];
  /** The most rows to claim. Null is the queue's concurrency in the registry. */
  want: number | null;
  /** Closes the tick if no row is returned. */
  close: boolean;
  /** Stored in the ledger if this exchange closes the tick. */
  report: object | null;
  /** Milliseconds until the call's loops stop and leave the rest to the next call. With 0 each loop runs once. 750 by default. */
  callMs?: number;
}

export interface TickIdentity {
  id: string;
  queue: string;
  partition: string;
  scheduler: string;
  /** The endpoint's path and its schedule, if known. From them the ledger derives the missed slots. */
  path: string | null;
  schedule: string | null;
  slot: string | null;
  continuation: number;
  /** Shared by the ticks of a call and their continuations. */
  runId: string;
  limitSeconds: number;
  lock: 'acquired' | 'held' | 'unavailable' | 'none';
  /** The configured providers of a queue with accounts. */
  providers: string[];
  /** The queue can check unknown rows. Otherwise they wait for an operator at once. */
  reconciles: boolean;
  /** The rows that the call requests: their state, and the most of them. Null for a tick of all due rows. */
  asked: { state: 'pending' | 'dead'; limit: number | null } | null;
}

/** The progress of a running row. */
export interface ProgressNote {
  id: string;
  claimId: string;
  value: unknown;
}

/** One unknown row and its check's finding. */
export interface CheckedRow {
  id: string;
  /** The fence: the claim of the uncertain attempt. */
  claimId: string;
  /** As in `UnknownRow`. */
  overSeconds: number;
  finding: Finding;
  /** The check itself failed. */
  failed: boolean;
}

/** One outcome to write. It has durations and no instants, because only the database's clock counts. */
export interface Settlement {
  id: string;
  /** The fence: the claim that took the row. */
  claimId: string;
  outcome: 'done' | 'retry' | 'again' | 'dead' | 'unknown' | 'release';
  error?: string;
  result?: Record<string, unknown>;
  delaySeconds?: number;
  rateLimited?: boolean;
  /** The target of the provider's rate limit. Without `accountPauseSeconds` the database decides how long the account waits. */
  limitScope?: 'account' | 'pair';
  accountId?: string;
  accountPauseSeconds?: number;
  /** The scope of the provider's refusal: this row, every row of the account, or every call of ours. */
  refused?: 'row' | 'account' | 'provider';
  /** The provider's code for the refusal, or its text if it has no code. */
  refusal?: string;
  /** The row does not fit its schema. It waits for its retry without holding its account. */
  unreadable?: boolean;
  /** How long the handler ran, in milliseconds. Left out where the history does not record the attempt. */
  ms?: number;
  /** Why the attempt failed: see `Failure`. */
  kind?: string;
  code?: string;
  answer?: string;
}

export interface ProviderNote {
  name: string;
  ok: boolean;
  error?: string;
  /** Calls that the provider refused because of our set-up. */
  refused?: number;
}

export interface ExchangeReply {
  /** False if another tick of this partition is running. This tick then ends. */
  admitted: boolean;
  duplicate: boolean;
  /** Why the queue or the partition is paused; null if it is not. */
  paused: string | null;
  settings: QueueSettings;
  /** The fence of `rows`. */
  claimId: string;
  rows: ClaimedRow[];
  /** The tick's counts so far. */
  counts: TickCounts;
  /** Outcomes that the database could not write. All others were written, or their rows belong to another claim by now. */
  refused: { id: string; claimId: string }[];
  closed: boolean;
  outcome: 'ran' | 'idle' | 'skipped' | 'paused' | 'died' | null;
  /** Providers that failed and are now tried with one row at a time. */
  probing: string[];
  /** Due rows that are left, counted to 1,000; null unless this exchange closed the tick. */
  due: number | null;
  nextDueInMs: number | null;
  /** The tick was closed, and unknown rows can be checked now. */
  checksDue: boolean;
}

/** The registry's current settings. */
export interface QueueSettings {
  delivery: 'at-most-once' | 'at-least-once';
  /** The most rows of one tick. Null is no limit. */
  batchLimit: number | null;
  concurrency: number;
  maxTicks: number;
  /** The most continuations of one call. 0 is none. */
  maxContinuations: number;
  timeoutSeconds: number;
  /** The longest that a tick works. Null is the whole budget that the tick's limit allows. */
  budgetSeconds: number | null;
  leaseSeconds: number;
  backoffBaseSeconds: number;
  backoffCapSeconds: number;
}

export interface ClaimedRow {
  id: string;
  /** 1 for the first. */
  attempt: number;
  /** The row's own, shorter than the queue's; null if it sets none. */
  timeoutSeconds: number | null;
  /** The row's columns, without those that say what became of earlier attempts. */
  row: Record<string, unknown>;
  account: Account | null;
  /** The value of the queue's SQL function `facts` for this row at the claim; null without one. */
  facts: unknown;
}

/** A row with an uncertain attempt. */
export interface UnknownRow {
  id: string;
  claimId: string;
  /** ISO 8601, by the database's clock. */
  attemptedAt: string;
  /** Seconds since the attempt was certainly over; negative until then. */
  overSeconds: number;
  row: Record<string, unknown>;
  account: Account | null;
  evidence: unknown;
}

/** The account that a row is sent as. */
export interface Account {
  id: string;
  provider: string;
  providerAccountId: string;
  name: string;
}

/** The evidence that a check found. The database decides by it, under the row's lock. */
export interface Finding {
  /**
   * Messages at the provider that are certainly the attempt's, the likeliest first. A message proves at most one row, so the first one that no
   * other row has counts.
   */
  proof: { messageId: string; result?: Result }[];
  /** Messages that may be the attempt's. A candidate that no other row has blocks sending again. */
  candidates: string[];
  /** Milliseconds after the attempt's end from which an empty finding proves that nothing was sent. Null: it never proves that. */
  absentAfterMs: number | null;
  /** The finding in words, for a person. */
  text: string;
}
