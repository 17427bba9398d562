import pLimit, { type LimitFunction } from 'p-limit';
import { Attempt, hasKind, type Verdict } from './attempt.ts';
import { backoffSeconds } from './backoff.ts';
import type { Breaker } from './breaker.ts';
import { type Budget, leaseAdmits } from './budget.ts';
import { Durations } from './durations.ts';
import type { Exchanges } from './exchanges.ts';
import { type Outcome, retry } from './outcome.ts';
import type { Clock, Random } from './ports/clock.ts';
import { type Log, loggable } from './ports/log.ts';
import type { ClaimedRow, QueueSettings, Settlement } from './ports/queue-store.ts';
import type { Queue } from './queue.ts';

/** The pause after a rate limit without `retryAfterSeconds`, for a row without an account. */
const defaultPauseSeconds = 60;
/** The pause where a person has to act: the provider refuses every row, or the row does not fit its schema. */
const mendSeconds = 300;
/** A longer pause is a mistake, such as a date in place of a duration. */
const longestPauseSeconds = 366 * 86_400;
/** A rate limit costs no attempt, so a provider that says "retry now" would loop. */
const leastPauseSeconds = 5;
const unreadableHint = "Correct the schema in the queue's code, or the row";

/** The claim of a row, and when it was requested, in the clock's milliseconds. */
export interface Claim {
  id: string;
  requestedAt: number;
}

/**
 * Runs a tick's claimed rows, `concurrency` at a time, and adds their outcomes to `exchanges`. Releases rows that the budget, the lease or
 * the breaker does not let start.
 */
export class Executor<Row, Deps, Env> {
  /** Milliseconds per attempt. */
  readonly durations = new Durations();
  /** `stopping`: rows that have not started are released. `closed`: late outcomes can only be logged. */
  phase: 'running' | 'stopping' | 'closed' = 'running';
  private readonly limit: LimitFunction = pLimit(1);
  private readonly aborts = new Set<() => void>();
  private settings!: QueueSettings;

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly deps: Deps,
    private readonly ports: { clock: Clock; log: Log; random: Random },
    private readonly budget: Budget,
    private readonly breaker: Breaker,
    private readonly exchanges: Exchanges,
    /** Called when an attempt ends or reports progress. */
    private readonly onChange: () => void,
  ) {}

  /** Rows that run or wait to run. */
  get busy(): number {
    return this.limit.activeCount + this.limit.pendingCount;
  }

  get free(): number {
    return this.limit.concurrency - this.limit.activeCount;
  }

  /** Aborts every attempt that runs. */
  abort(): void {
    for (const abort of [...this.aborts]) abort();
  }

  start(rows: ClaimedRow[], claim: Claim, settings: QueueSettings): void {
    this.settings = settings;
    this.limit.concurrency = settings.concurrency;
    for (const row of rows) {
      this.limit(() => this.perform(row, claim)).then(this.onChange, (error) => {
        // A fault of ours: the row keeps its lease and is swept later.
        this.ports.log.error({ err: error, id: row.id, queue: this.queue.name }, 'a row could not be run');
        this.onChange();
      });
    }
  }

  /** The shorter of the queue's timeout and the row's, in milliseconds. */
  timeoutMs(row: ClaimedRow | null): number {
    const seconds = Math.min(this.settings.timeoutSeconds, row?.timeoutSeconds ?? Number.POSITIVE_INFINITY);
    return Math.min(this.queue.timeoutMs, seconds * 1_000);
  }

  private async perform(claimed: ClaimedRow, claim: Claim): Promise<void> {
    const { clock, log } = this.ports;
    const timeoutMs = this.timeoutMs(claimed);
    const provider = claimed.account?.provider ?? null;
    if (!this.mayStart(provider, claim, timeoutMs)) {
      this.exchanges.add({ id: claimed.id, claimId: claim.id, outcome: 'release' });
      return;
    }
    const parsed = this.parse(claimed);
    if ('error' in parsed) {
      // The schema may be wrong for every row, so the row is retried and does not hold its account's other rows.
      const outcome = retry(parsed.error, mendSeconds);
      this.exchanges.add({ ...this.settlement(claimed, claim, outcome), unreadable: true });
      return;
    }

    const startedAt = clock.now();
    const attempt = new Attempt({
      clock,
      timeoutMs,
      delivery: this.queue.delivery,
      aborts: this.aborts,
      onLate: (late) => this.addLate(claimed, claim, late),
    });
    const context = {
      deps: this.deps,
      log,
      attempt: claimed.attempt,
      account: claimed.account,
      facts: claimed.facts,
      claimId: claim.id,
      progress: (value: unknown) => {
        this.exchanges.addProgress({ id: claimed.id, claimId: claim.id, value });
        this.onChange();
      },
      get signal() {
        return attempt.signal;
      },
    };
    const verdict = await attempt.run(async () => {
      try {
        return await this.queue.perform(parsed.row, context);
      } catch (error) {
        this.logThrown(error, attempt, claimed);
        throw error;
      }
    });
    this.durations.add(clock.now() - startedAt);
    if (provider && verdict.provider === 'answered') this.breaker.answered(provider);
    if (provider && (verdict.provider === 'failed' || verdict.provider === 'refused')) {
      this.breaker[verdict.provider](provider, 'error' in verdict.outcome ? verdict.outcome.error : 'failed');
    }
    // Under at-least-once, an attempt that was cut short is released to the next tick and costs no attempt. A timeout does cost one.
    if (verdict.wasCutShort && verdict.outcome.kind !== 'done' && this.queue.delivery === 'at-least-once') {
      this.exchanges.add({ id: claimed.id, claimId: claim.id, outcome: 'release' });
      return;
    }
    this.exchanges.add(this.settlement(claimed, claim, verdict.outcome));
  }

  /** Logs unexpected errors with their stack. Errors with a `kind` and timeouts are in the row's `last_error`. */
  private logThrown(error: unknown, ran: Attempt, { id, attempt }: ClaimedRow): void {
    if (ran.isReason(error) || hasKind(error)) return;
    const fields = { err: loggable(error), queue: this.queue.name, id, attempt };
    this.ports.log.warn(fields, 'a handler threw an error');
  }

  /** Parses the row. The schema's own code may throw. */
  private parse(claimed: ClaimedRow): { row: Row } | { error: string } {
    try {
      const parsed = this.queue.row.safeParse(claimed.row);
      if (parsed.success) return { row: parsed.data };
      const issue = parsed.error.issues[0];
      const column = issue?.path[0];
      const isMissing = typeof column === 'string' && !(column in claimed.row);
      const fault = `${issue?.path.join('.') || 'row'}: ${issue?.message}${isMissing ? ' (the table has no such column)' : ''}`;
      return { error: `the row does not fit its schema: ${fault}. ${unreadableHint}` };
    } catch (error) {
      const thrown = error instanceof Error ? error.message : String(error);
      return { error: `the row's schema threw: ${thrown}. ${unreadableHint}` };
    }
  }

  private mayStart(provider: string | null, claim: Claim, timeoutMs: number): boolean {
    return (
      this.phase === 'running' &&
      this.budget.admits(timeoutMs) &&
      leaseAdmits(this.ports.clock, claim.requestedAt, this.settings.leaseSeconds * 1_000, timeoutMs) &&
      !(provider && this.breaker.isOpen(provider))
    );
  }

  /** Settles an attempt that ended after its timeout: the database accepts late proof for a row that is unknown by now. */
  private addLate(claimed: ClaimedRow, claim: Claim, late: Verdict): void {
    const settlement = this.settlement(claimed, claim, late.outcome);
    if (settlement.outcome === 'unknown') return;
    if (this.phase !== 'closed') {
      this.exchanges.add(settlement);
      return;
    }
    this.ports.log.warn({ ...settlement, queue: this.queue.name }, 'an attempt ended after its tick');
  }

  private settlement(claimed: ClaimedRow, claim: Claim, outcome: Outcome): Settlement {
    const settlement: Settlement = {
      id: claimed.id,
      claimId: claim.id,
      outcome: outcome.kind,
      result: outcome.result,
    };
    if ('error' in outcome) settlement.error = outcome.error;
    if (outcome.kind === 'again')
      settlement.delaySeconds = Math.min(outcome.afterSeconds, longestPauseSeconds);
    if (outcome.kind === 'dead' && outcome.refusal !== undefined && claimed.account) {
      settlement.refused = 'row';
      settlement.refusal = outcome.refusal;
      settlement.accountId = claimed.account.id;
    }
    if (outcome.kind === 'retry' && outcome.refused) {
      settlement.rateLimited = true;
      if (claimed.account) {
        settlement.refused = outcome.refused;
        settlement.refusal = outcome.refusal;
        settlement.accountId = claimed.account.id;
      } else settlement.delaySeconds = bounded(outcome.afterSeconds) ?? mendSeconds;
    } else if (outcome.kind === 'retry' && outcome.rateLimited) {
      const afterSeconds = bounded(outcome.afterSeconds);
      const pauseSeconds = afterSeconds === undefined ? undefined : Math.max(leastPauseSeconds, afterSeconds);
      settlement.rateLimited = true;
      settlement.delaySeconds = pauseSeconds ?? (claimed.account ? undefined : defaultPauseSeconds);
      if (claimed.account) {
        settlement.limitScope = outcome.scope ?? 'account';
        settlement.accountId = claimed.account.id;
        if (settlement.limitScope === 'account') settlement.accountPauseSeconds = pauseSeconds;
      }
    } else if (outcome.kind === 'retry') {
      const { backoffBaseSeconds: baseSeconds, backoffCapSeconds: capSeconds } = this.settings;
      const retryAfterSeconds = bounded(outcome.afterSeconds);
      settlement.delaySeconds = backoffSeconds(
        claimed.attempt,
        { baseSeconds, capSeconds, retryAfterSeconds },
        this.ports.random,
      );
    }
    return settlement;
  }
}

/** Seconds that the database can add to an instant; undefined if `seconds` is no such number. */
function bounded(seconds: number | undefined): number | undefined {
  return typeof seconds === 'number' && seconds >= 0 ? Math.min(seconds, longestPauseSeconds) : undefined;
}
