import { AsyncResource } from 'node:async_hooks';
import { Attempt, AttemptContext, type AttemptHost, hasKind, type Verdict } from './attempt.ts';
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

/** The rows of a claim that wait for a slot: those from `next` on. */
interface Waiting {
  rows: ClaimedRow[];
  claim: Claim;
  next: number;
}

/**
 * Runs a tick's claimed rows, `concurrency` at a time, and adds their outcomes to `exchanges`. Releases rows that the budget, the lease or
 * the breaker does not let start.
 */
export class Executor<Row, Deps, Env> implements AttemptHost {
  /** Milliseconds per attempt. */
  readonly durations = new Durations();
  /** `stopping`: rows that have not started are released. `closed`: late outcomes can only be logged. */
  phase: 'running' | 'stopping' | 'closed' = 'running';
  readonly clock: Clock;
  readonly delivery: Queue<Row, Deps, Env>['delivery'];
  private readonly waiting: Waiting[] = [];
  private readonly attempts = new Set<Attempt>();
  private settings!: QueueSettings;
  /** When the timer fires. One timer serves all attempts, because a timer for each took longer than a quick row. */
  private timerAt = Number.POSITIVE_INFINITY;
  private cancelTimer: () => void = () => {};
  /** The tick's async context. Each handler runs in a copy of it, because `enterWith` would change it for the rows that start later. */
  private readonly tickScope = new AsyncResource('punctual tick');

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly deps: Deps,
    private readonly ports: { clock: Clock; log: Log; random: Random },
    private readonly budget: Budget,
    private readonly breaker: Breaker,
    private readonly exchanges: Exchanges,
    /** Called when an attempt ends or reports progress. */
    private readonly onChange: () => void,
  ) {
    this.clock = ports.clock;
    this.delivery = queue.delivery;
  }

  /** Rows that run or wait to run. */
  get busy(): number {
    return this.waiting.reduce((sum, { rows, next }) => sum + rows.length - next, this.attempts.size);
  }

  /** Aborts every attempt that runs. */
  abort(): void {
    for (const attempt of [...this.attempts]) attempt.abort();
  }

  start(rows: ClaimedRow[], claim: Claim, settings: QueueSettings): void {
    this.settings = settings;
    if (rows.length > 0) this.waiting.push({ rows, claim, next: 0 });
    this.fillSlots();
  }

  /** The shorter of the queue's timeout and the row's, in milliseconds. */
  timeoutMs(row: ClaimedRow | null): number {
    const seconds = Math.min(this.settings.timeoutSeconds, row?.timeoutSeconds ?? Number.POSITIVE_INFINITY);
    return Math.min(this.queue.timeoutMs, seconds * 1_000);
  }

  watch({ endsAt }: Attempt): void {
    if (endsAt >= this.timerAt) return;
    this.cancelTimer();
    this.timerAt = endsAt;
    this.cancelTimer = this.clock.timer(Math.max(0, endsAt - this.clock.now()), () => this.checkTimes());
  }

  /** Keeps a row's progress for the next exchange. */
  onProgress({ row: { id }, claimId }: Attempt, value: unknown): void {
    this.exchanges.addProgress({ id, claimId, value });
    this.onChange();
  }

  onThrown(attempt: Attempt, error: unknown): void {
    // Errors with a `kind` and timeouts are in the row's `last_error`.
    if (attempt.isReason(error) || hasKind(error)) return;
    const fields = {
      err: loggable(error),
      queue: this.queue.name,
      id: attempt.row.id,
      attempt: attempt.row.attempt,
    };
    this.ports.log.warn(fields, 'a handler threw an error');
  }

  onEnd(attempt: Attempt, verdict: Verdict): void {
    this.attempts.delete(attempt);
    this.guard(attempt.row, () => this.finish(attempt, verdict));
    this.fillSlots();
    if (this.attempts.size === 0) this.stopTimer();
    this.onChange();
  }

  /** Settles an attempt that ended after its timeout: the database accepts late proof for a row that is unknown by now. */
  onLate(attempt: Attempt, verdict: Verdict): void {
    const settlement = this.settlementOf(attempt, verdict);
    if (settlement.outcome === 'unknown') return;
    if (this.phase !== 'closed') {
      this.exchanges.add(settlement);
      return;
    }
    this.ports.log.warn(
      { ...settlement, answer: undefined, queue: this.queue.name },
      'an attempt ended after its tick',
    );
  }

  private fillSlots(): void {
    let batch = this.waiting[0];
    while (batch && this.attempts.size < this.settings.concurrency) {
      const row = batch.rows[batch.next++] as ClaimedRow;
      const { claim } = batch;
      if (batch.next === batch.rows.length) this.waiting.shift();
      this.guard(row, () => this.begin(row, claim));
      batch = this.waiting[0];
    }
  }

  /** After a fault of ours, the row keeps its lease and is swept later. */
  private guard({ id }: ClaimedRow, run: () => void): void {
    try {
      run();
    } catch (error) {
      this.ports.log.error({ err: error, id, queue: this.queue.name }, 'a row could not be run');
    }
  }

  private begin(claimed: ClaimedRow, claim: Claim): void {
    const timeoutMs = this.timeoutMs(claimed);
    if (!this.mayStart(claimed.account?.provider ?? null, claim, timeoutMs)) {
      this.exchanges.add({ id: claimed.id, claimId: claim.id, outcome: 'release' });
      return;
    }
    const parsed = this.parse(claimed);
    if ('error' in parsed) {
      // The schema may be wrong for every row, so the row is retried and does not hold its account's other rows.
      const outcome = retry(parsed.error, mendSeconds);
      const settlement = this.settlement(claimed, claim.id, outcome);
      settlement.unreadable = true;
      settlement.kind = 'unreadable';
      this.exchanges.add(settlement);
      return;
    }
    const attempt = new Attempt(this, claimed, claim.id, timeoutMs);
    this.attempts.add(attempt);
    const context = new AttemptContext(this.deps, this.ports.log, attempt);
    const scope = this.tickScope.runInAsyncScope(newScope);
    attempt.run(() => scope.runInAsyncScope(this.queue.perform, this.queue, parsed.row, context));
  }

  private finish(attempt: Attempt, verdict: Verdict): void {
    const { row, claimId, startedAt } = attempt;
    const { outcome, provider: said, wasCutShort } = verdict;
    this.durations.add(this.clock.now() - startedAt);
    const provider = row.account?.provider;
    if (provider && said === 'answered') this.breaker.answered(provider);
    if (provider && (said === 'failed' || said === 'refused')) {
      this.breaker[said](provider, 'error' in outcome ? outcome.error : 'failed');
    }
    // Under at-least-once, an attempt that was cut short is released to the next tick and costs no attempt. A timeout does cost one.
    if (wasCutShort && outcome.kind !== 'done' && this.delivery === 'at-least-once') {
      this.exchanges.add({ id: row.id, claimId, outcome: 'release' });
      return;
    }
    this.exchanges.add(this.settlementOf(attempt, verdict));
  }

  /** The settlement of an attempt, with its details where the history records them. */
  private settlementOf({ row, claimId, startedAt }: Attempt, { outcome, failure }: Verdict): Settlement {
    const settlement = this.settlement(row, claimId, outcome);
    if ('error' in outcome) {
      settlement.kind = failure?.kind ?? 'returned';
      settlement.code = failure?.code ?? ('refusal' in outcome ? outcome.refusal : undefined);
      settlement.answer = failure?.answer;
    } else if (outcome.kind !== 'done' || this.delivery === 'at-least-once') return settlement;
    settlement.ms = Math.round(this.clock.now() - startedAt);
    return settlement;
  }

  /** The timer fired: ends the attempts whose time is over, and waits for the next one's. */
  private checkTimes(): void {
    this.timerAt = Number.POSITIVE_INFINITY;
    const now = this.clock.now();
    for (const attempt of [...this.attempts]) {
      if (attempt.endsAt <= now) attempt.timeUp();
      else this.watch(attempt);
    }
  }

  private stopTimer(): void {
    this.cancelTimer();
    this.timerAt = Number.POSITIVE_INFINITY;
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

  private settlement(claimed: ClaimedRow, claimId: string, outcome: Outcome): Settlement {
    const settlement: Settlement = {
      id: claimed.id,
      claimId,
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

const newScope = () => new AsyncResource('punctual row');

/** Seconds that the database can add to an instant; undefined if `seconds` is no such number. */
function bounded(seconds: number | undefined): number | undefined {
  return typeof seconds === 'number' && seconds >= 0 ? Math.min(seconds, longestPauseSeconds) : undefined;
}
