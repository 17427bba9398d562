import pLimit, { type LimitFunction } from 'p-limit';
import { hasKind, runAttempt, type Verdict } from './attempt';
import { backoffSeconds } from './backoff';
import type { Breaker } from './breaker';
import { type Budget, leaseAdmits } from './budget';
import { Durations } from './durations';
import type { Exchanges } from './exchanges';
import { type Outcome, retry } from './outcome';
import type { Clock, Random } from './ports/clock';
import { type Log, loggable } from './ports/log';
import type { ClaimedRow, QueueSettings, Settlement } from './ports/queue-store';
import type { Queue } from './queue';

/** A provider's limit without a time of its own, for a row without an account. */
const defaultPauseSeconds = 60;
/** The least wait where a person has to act: after a refusal that would meet any row, and for a row that does not fit its schema. */
const mendSeconds = 300;
/** A wait that is longer is a mistake: a date in place of a duration, or no number. */
const longestPauseSeconds = 366 * 86_400;
/** A provider that says "now" after "too many" is not taken at its word: it costs no attempt, and would go round for ever. */
const leastPauseSeconds = 5;
const unreadableHint = "Correct the schema in the queue's code, or the row";

/** Under which claim a row was taken, and when that claim was requested. */
export interface Claim {
  id: string;
  requestedAt: number;
}

/**
 * The slots of one tick: performs claimed rows side by side, starts none that the budget, the lease or the breaker does not admit,
 * and hands every outcome to `exchanges`.
 */
export class Performing<Row, Deps, Env> {
  /** How long attempts took. */
  readonly durations = new Durations();
  /** `halted`: nothing may start any more, and what has not started is released. `closed`: what an attempt left behind comes to can only be logged. */
  phase: 'open' | 'halted' | 'closed' = 'open';
  private readonly slots: LimitFunction = pLimit(1);
  private readonly cuts = new Set<() => void>();
  private settings!: QueueSettings;

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly deps: Deps,
    private readonly ports: { clock: Clock; log: Log; random: Random },
    private readonly budget: Budget,
    private readonly breaker: Breaker,
    private readonly exchanges: Exchanges,
    /** Called each time an attempt has ended, or says how far it is. */
    private readonly onNews: () => void,
  ) {}

  /** Rows under way and rows waiting for a slot. */
  get busy(): number {
    return this.slots.activeCount + this.slots.pendingCount;
  }

  get free(): number {
    return this.slots.concurrency - this.slots.activeCount;
  }

  /** Ends the time of every attempt that is under way. */
  cut(): void {
    for (const cut of [...this.cuts]) cut();
  }

  start(rows: ClaimedRow[], claim: Claim, settings: QueueSettings): void {
    this.settings = settings;
    this.slots.concurrency = settings.concurrency;
    for (const row of rows) {
      void this.slots(() => this.perform(row, claim))
        // Nothing below is to throw; if it does, the row stays under its lease, and the tick goes on.
        .catch((error) =>
          this.ports.log.error(
            { err: error, id: row.id, queue: this.queue.name },
            'a row could not be handled',
          ),
        )
        .finally(this.onNews);
    }
  }

  /** The queue's timeout, or the row's where it is shorter. In milliseconds. */
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
      // As likely a mistake in the code, which would meet every row: it is tried again, and its account's other rows go on.
      const outcome = retry(parsed.error, mendSeconds);
      this.exchanges.add({ ...this.settlement(claimed, claim, outcome), unreadable: true });
      return;
    }

    const startedAt = clock.now();
    const { attempt, account, facts } = claimed;
    const progress = (value: unknown) => {
      this.exchanges.addProgress({ id: claimed.id, claimId: claim.id, value });
      this.onNews();
    };
    const context = { deps: this.deps, log, attempt, account, facts, claimId: claim.id, progress };
    const perform = async (signal: AbortSignal) => {
      try {
        return await this.queue.perform(parsed.row, { ...context, signal });
      } catch (error) {
        this.logThrown(error, signal, claimed);
        throw error;
      }
    };
    const verdict = await runAttempt(perform, {
      clock,
      timeoutMs,
      delivery: this.queue.delivery,
      cuts: this.cuts,
      onLate: (late) => this.hearLate(claimed, claim, late),
    });
    this.durations.add(clock.now() - startedAt);
    if (provider && verdict.provider === 'answered') this.breaker.answered(provider);
    if (provider && (verdict.provider === 'failed' || verdict.provider === 'refused')) {
      this.breaker[verdict.provider](provider, 'error' in verdict.outcome ? verdict.outcome.error : 'failed');
    }
    // What a row that may be done twice says of itself when it is cut is of the cut: it goes to the next tick as if it had not begun.
    if (verdict.wasCut && verdict.outcome.kind !== 'done' && this.queue.delivery === 'at-least-once') {
      this.exchanges.add({ id: claimed.id, claimId: claim.id, outcome: 'release' });
      return;
    }
    this.exchanges.add(this.settlement(claimed, claim, verdict.outcome));
  }

  /** An error with a `kind` says what came of the call, and one of the signal's that time was over: the row's `last_error` has either. */
  private logThrown(error: unknown, signal: AbortSignal, { id, attempt }: ClaimedRow): void {
    if ((signal.aborted && error === signal.reason) || hasKind(error)) return;
    const fields = { err: loggable(error), queue: this.queue.name, id, attempt };
    this.ports.log.warn(fields, 'a handler threw an error');
  }

  /** A schema may bear code of the queue's own, which may throw. */
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
      this.phase === 'open' &&
      this.budget.admits(timeoutMs) &&
      leaseAdmits(this.ports.clock, claim.requestedAt, this.settings.leaseSeconds * 1_000, timeoutMs) &&
      !(provider && this.breaker.isOpen(provider))
    );
  }

  /** Proof that comes late is still proof, where it is proof: the database takes it for a row that is unknown by now. */
  private hearLate(claimed: ClaimedRow, claim: Claim, late: Verdict): void {
    const settlement = this.settlement(claimed, claim, late.outcome);
    if (settlement.outcome === 'unknown') return;
    if (this.phase !== 'closed') {
      this.exchanges.add(settlement);
      return;
    }
    this.ports.log.warn(
      { ...settlement, queue: this.queue.name },
      'an attempt that was left behind ended after its tick',
    );
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
      const told = afterSeconds === undefined ? undefined : Math.max(leastPauseSeconds, afterSeconds);
      settlement.rateLimited = true;
      settlement.delaySeconds = told ?? (claimed.account ? undefined : defaultPauseSeconds);
      if (claimed.account) {
        settlement.limitScope = outcome.scope ?? 'account';
        settlement.accountId = claimed.account.id;
        if (settlement.limitScope === 'account') settlement.accountPauseSeconds = told;
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

/** Seconds that the database can add to now; undefined for what is no such number. */
function bounded(seconds: number | undefined): number | undefined {
  return typeof seconds === 'number' && seconds >= 0 ? Math.min(seconds, longestPauseSeconds) : undefined;
}
