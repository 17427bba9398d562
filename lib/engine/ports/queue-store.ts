import type { Result } from '../outcome';
import type { TickCounts } from '../tick-report';

/** What the engine asks of the database. Implemented over SQL by `lib/store`. Throws `StoreError`s. */
export interface QueueStore {
  /** Settles outcomes, claims due rows and closes the tick, in one transaction. */
  exchange(request: ExchangeRequest): Promise<ExchangeReply>;
  /** Takes unknown rows whose check is due, as many as run side by side; each is taken again after `leaseSeconds`, unless its finding has come. */
  takeUnknown(request: { queue: string; providers: string[]; leaseSeconds: number }): Promise<UnknownRow[]>;
  /** Judges what checks found. Answers how many counted, and how many of those rows came to an end. Waits for no row. */
  settleFindings(queue: string, findings: CheckedRow[]): Promise<{ checked: number; resolved: number }>;
}

export interface ExchangeRequest {
  tick: TickIdentity;
  /** 1 for the tick's first exchange, one more for each that was answered. Under the same number again it answers its rows again. */
  seq: number;
  settlements: Settlement[];
  providers: ProviderNote[];
  /** How far running rows are. */
  progress: ProgressNote[];
  /** The most rows to claim; null for as many as the registry lets run side by side. */
  want: number | null;
  /** Close the tick if the database answers no row. */
  close: boolean;
  /** Kept in the ledger if this exchange closes the tick. */
  report: object | null;
  /** After so many milliseconds the call's loops stop, and the next call goes on. With 0 each goes round once; 750 unless given. */
  callMs?: number;
}

export interface TickIdentity {
  id: string;
  queue: string;
  partition: string;
  scheduler: string;
  /** The endpoint that was called, and its schedule: where they are known, the ledger tells which slots were missed. */
  path: string | null;
  schedule: string | null;
  slot: string | null;
  continuation: number;
  /** Of all ticks of one call, and of those that went on where they ended. */
  runId: string;
  limitSeconds: number;
  lock: 'acquired' | 'held' | 'unavailable' | 'none';
  /** The providers that are configured, for a queue with accounts. */
  providers: string[];
  /** The queue can check unknown rows. Otherwise such a row waits for an operator at once. */
  reconciles: boolean;
  /** Somebody asked for rows of this state, so many at most; null where a scheduler called. */
  asked: { state: 'pending' | 'dead'; limit: number | null } | null;
}

/** How far a running row is. */
export interface ProgressNote {
  id: string;
  claimId: string;
  value: unknown;
}

/** What was found of one unknown row, on its way to the row. */
export interface CheckedRow {
  id: string;
  /** The claim of the uncertain attempt: the fence. */
  claimId: string;
  overSeconds: number;
  finding: Finding;
  /** The provider could not be asked. */
  failed: boolean;
}

/** One outcome on its way to its row, with durations and never instants: the database knows what time it is. */
export interface Settlement {
  id: string;
  /** The claim the row was taken under: the fence. */
  claimId: string;
  outcome: 'done' | 'retry' | 'again' | 'dead' | 'unknown' | 'release';
  error?: string;
  result?: Record<string, unknown>;
  delaySeconds?: number;
  rateLimited?: boolean;
  /** Whom the provider limits. Without `accountPauseSeconds` the database knows how long an account waits. */
  limitScope?: 'account' | 'pair';
  accountId?: string;
  accountPauseSeconds?: number;
  /** What the provider refused: this row (for `refusal`), the account, or all that we ask of it. */
  refused?: 'row' | 'account' | 'provider';
  refusal?: string;
  /** The row does not fit its schema: only this row waits for its retry, and its account goes on. */
  unreadable?: boolean;
}

export interface ProviderNote {
  name: string;
  ok: boolean;
  error?: string;
  /** Calls that met a refusal of our set-up. */
  refused?: number;
}

export interface ExchangeReply {
  /** False: another tick of this partition is running, and this one is to leave. */
  admitted: boolean;
  duplicate: boolean;
  /** Why the queue or the partition is paused; null when it is not. */
  paused: string | null;
  settings: QueueSettings;
  /** The fence of `rows`. */
  claimId: string;
  rows: ClaimedRow[];
  /** Of the tick so far. */
  counts: TickCounts;
  /** Outcomes that the database would not write, each on its own; everything else was written, or is another's by now. */
  refused: { id: string; claimId: string }[];
  closed: boolean;
  outcome: 'ran' | 'idle' | 'skipped' | 'paused' | 'died' | null;
  /** Providers that failed as a whole and are tried with one row at a time. */
  probing: string[];
  /** When the tick was closed: due rows left, counted to 1,000. */
  due: number | null;
  nextDueInMs: number | null;
  /** When the tick was closed: unknown rows can be checked now. */
  checksDue: boolean;
}

/** The registry's settings, as they are now. */
export interface QueueSettings {
  delivery: 'at-most-once' | 'at-least-once';
  /** The most rows of one tick; null is unlimited. */
  batchLimit: number | null;
  concurrency: number;
  maxTicks: number;
  /** How many ticks may follow one call at once while there is a backlog; 0 is none. */
  maxContinuations: number;
  timeoutSeconds: number;
  /** The longest that a tick works; null is what its limit leaves. */
  budgetSeconds: number | null;
  leaseSeconds: number;
  backoffBaseSeconds: number;
  backoffCapSeconds: number;
}

export interface ClaimedRow {
  id: string;
  /** 1 for the first. */
  attempt: number;
  /** Shorter than the queue's, where the row sets one. */
  timeoutSeconds: number | null;
  /** The row as it stands in its table. */
  row: Record<string, unknown>;
  account: Account | null;
  /** What the queue's SQL function `facts` knew of it at the claim; null where there is none. */
  facts: unknown;
}

/** A row whose attempt is uncertain. */
export interface UnknownRow {
  id: string;
  claimId: string;
  /** ISO 8601, by the database's clock. */
  attemptedAt: string;
  /** For how long the attempt has been over for certain; negative while it is not. */
  overSeconds: number;
  row: Record<string, unknown>;
  account: Account | null;
  evidence: unknown;
}

/** Who the row is sent as. */
export interface Account {
  id: string;
  provider: string;
  providerAccountId: string;
  name: string;
}

/** What was found of an uncertain attempt. The database judges by it, under the row's lock. */
export interface Finding {
  /**
   * Messages that are for certain what the attempt left at the provider, the likeliest first. Each proves one row at most: the
   * first counts that no other row bears.
   */
  proof: { messageId: string; result?: Result }[];
  /** Messages that may be of the attempt: one that no other row bears stands in the way of sending again. */
  candidates: string[];
  /** With nothing found: how long after the attempt is over, in milliseconds, that proves that nothing was sent. Null: it never does. */
  absentAfterMs: number | null;
  /** For a person. */
  text: string;
}
