import { Breaker } from './breaker.ts';
import { type Budget, longestAttemptMs, startBudget } from './budget.ts';
import { leastOfCall, mostOfCall, outcomeGroupMs, targetRows } from './demand.ts';
import { coldStartMs, Exchanges, exchangeMs } from './exchanges.ts';
import { Executor } from './executor.ts';
import { type Clock, type NewId, type Random, sleep } from './ports/clock.ts';
import type { Log } from './ports/log.ts';
import type { OverlapLock } from './ports/overlap-lock.ts';
import type { ExchangeReply, QueueSettings, QueueStore, TickIdentity } from './ports/queue-store.ts';
import type { StopSignal } from './ports/stop-signal.ts';
import { asStoreError, isStoreError, StoreError } from './ports/store-error.ts';
import { NotConfiguredError, type Queue } from './queue.ts';
import { reconcileWithin } from './reconcile.ts';
import { TickLock } from './tick-lock.ts';
import type { Checks, TickReport } from './tick-report.ts';

export interface TickPorts {
  store: QueueStore;
  clock: Clock;
  log: Log;
  random: Random;
  newId: NewId;
  /** Null without Redis: the exchange alone then keeps ticks from overlapping. */
  lock: OverlapLock | null;
}

export interface TickOptions<Deps> {
  deps: Deps;
  /** `main` by default. */
  partition?: string;
  /** The execution limit in milliseconds, counted from `startedAt`. */
  limitMs: number;
  /** When the call began, in the clock's milliseconds; now by default. */
  startedAt?: number;
  /** The scheduler's name. */
  scheduler: string;
  /** The slot that this tick answers, ISO 8601, if known. */
  slot?: string | null;
  /** The endpoint's path and the scheduler's cron expression, if known. */
  path?: string | null;
  schedule?: string | null;
  /** 0 for the tick that the scheduler asked for; one more for each continuation, which keeps the run id. */
  continuation?: number;
  /** A UUID; the tick's own id by default. */
  runId?: string;
  /** Nothing starts that would end later, in the clock's milliseconds. */
  endBy?: number;
  /** Ends the tick early. */
  stop?: StopSignal;
  /**
   * The call requests up to `limit` due or dead rows. A dead row is retried once. Null is the queue's batch limit. The tick takes no lock and
   * runs beside others.
   */
  asked?: { state: 'pending' | 'dead'; limit: number | null };
}

/** The end of the grace period, in which aborted attempts return and are settled. */
const stopMarginMs = 6_000;
/** Between two writes of progress. */
const progressMs = 1_000;
/** Allowed for a claim before its rows start. */
const claimMs = 500;
/** Between two attempts to close a tick. */
const retryMs = 1_000;

/**
 * Claims due rows of one partition, runs them, settles their outcomes, and returns before the platform's limit. If time is left, checks
 * unknown rows.
 *
 * Throws a `StoreError` if the database is unavailable or refuses the call, or if the registry contradicts the code; a `NotConfiguredError`
 * if the queue's timeout does not fit into the limit.
 */
export async function tick<Row, Deps, Env>(
  queue: Queue<Row, Deps, Env>,
  ports: TickPorts,
  options: TickOptions<Deps>,
): Promise<TickReport> {
  return new Tick(queue, ports, options).run();
}

class Tick<Row, Deps, Env> {
  private readonly budget: Budget;
  private readonly identity: TickIdentity;
  /** Later than the call's start if the call has several ticks. */
  private readonly tickStartedAt: number;
  private readonly breaker = new Breaker();
  private readonly exchanges: Exchanges;
  private readonly executor: Executor<Row, Deps, Env>;
  private readonly lock: TickLock;
  /** From the latest exchange. */
  private settings: QueueSettings | null = null;
  private duplicate = false;
  /** The latest claim returned fewer rows than it wanted. */
  private drained = false;
  /** Why the tick claims no more rows; null while it does. */
  private ended: TickReport['ended'] = null;
  /** The first error. It stops claims and starts, and is thrown once running rows are settled. */
  private error: StoreError | null = null;
  private wake: () => void = () => {};
  /** Exchanges in flight. */
  private lanes = 0;
  /** The rows that exchanges in flight want. */
  private requested = 0;
  /** How many rows to have claimed: those that run, and those that are ready to start. */
  private target = 0;
  /** The exchange that closed the tick. */
  private last: ExchangeReply | null = null;
  /** An error after which no exchange can help. */
  private fatal: StoreError | null = null;

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly ports: TickPorts,
    private readonly options: TickOptions<Deps>,
  ) {
    this.tickStartedAt = ports.clock.now();
    this.budget = startBudget(ports.clock, options.startedAt ?? ports.clock.now(), options.limitMs);
    if (options.endBy !== undefined) this.budget.endBy(options.endBy);
    const id = ports.newId();
    this.identity = {
      id,
      queue: queue.name,
      partition: options.partition ?? 'main',
      scheduler: options.scheduler,
      path: options.path ?? null,
      schedule: options.schedule ?? null,
      slot: options.slot ?? null,
      continuation: options.continuation ?? 0,
      runId: options.runId ?? id,
      limitSeconds: options.limitMs / 1_000,
      lock: 'none',
      providers: queue.providers?.(options.deps) ?? [],
      reconciles: queue.reconcile !== undefined,
      asked: options.asked ?? null,
    };
    this.lock = new TickLock(ports.lock, ports.log);
    this.exchanges = new Exchanges(this.identity, ports, this.breaker, this.budget);
    const onChange = () => this.wake();
    this.executor = new Executor(
      queue,
      options.deps,
      ports,
      this.budget,
      this.breaker,
      this.exchanges,
      onChange,
    );
  }

  async run(): Promise<TickReport> {
    this.checkTimeout(this.queue.timeoutMs);
    await this.takeLock();
    const unlisten = this.listenForStop();
    try {
      const last = await this.work();
      this.executor.phase = 'closed';
      await this.exchanges.settleLate();
      if (this.error) throw this.error;
      // An idle tick lets its lock expire: a release would cost a second Redis command.
      if (this.exchanges.counts.claimed > 0) await this.lock.release();
      const report = this.report(last, last.checksDue ? await this.checkUnknown() : undefined);
      this.ports.log.info({ ...report }, 'tick');
      return report;
    } catch (error) {
      throw this.asThrown(error);
    } finally {
      unlisten();
      this.executor.phase = 'closed';
      if (this.exchanges.counts.claimed > 0) await this.lock.release();
    }
  }

  /** Starts rows, waits and exchanges until nothing is left to start, run or settle. Returns the exchange that closed the tick. */
  private async work(): Promise<ExchangeReply> {
    while (this.last === null) {
      this.checkBudget();
      if (this.fatal) throw this.fatal;
      const isOver = this.executor.busy === 0 && this.lanes === 0;
      if (isOver || this.isTimeToExchange()) void this.runLane(isOver);
      else await this.nextEvent();
    }
    return this.last;
  }

  /** Makes one exchange, while others may be in flight. Never rejects. */
  private async runLane(closes: boolean): Promise<void> {
    this.lanes++;
    try {
      const reply = await this.exchange(closes);
      // An exchange may close the tick early; running rows are still settled.
      if (reply.closed && this.executor.busy === 0 && this.lanes === 1) this.last = reply;
    } catch (thrown) {
      const error = asStoreError(thrown);
      if (this.canContinue(error)) {
        this.fail(error);
        if (this.executor.busy === 0 && error.kind === 'unavailable') await sleep(this.ports.clock, retryMs);
      } else this.fatal = error;
    }
    this.lanes--;
    this.wake();
  }

  private async exchange(closes: boolean): Promise<ExchangeReply> {
    this.setTarget();
    const all = this.want();
    const want = this.settings && all !== null ? Math.min(all, mostOfCall(this.settings, this.target)) : all;
    this.requested += want ?? 0;
    const reply = await this.exchanges
      .exchange({ want, close: closes, report: closes ? this.report() : null })
      .finally(() => {
        this.requested -= want ?? 0;
      });
    const { settings } = reply;
    const isFirst = this.settings === null;
    this.settings = settings;
    this.duplicate ||= reply.duplicate;
    if (settings.budgetSeconds !== null)
      this.budget.endBy(this.tickStartedAt + settings.budgetSeconds * 1_000);
    if (!reply.isLate) this.drained = reply.rows.length < (want ?? settings.concurrency);
    const fault = this.faultOf(settings);
    if (fault) this.fail(new StoreError('registry', fault));
    if (isFirst) await this.extendLock(reply);
    this.executor.start(reply.rows, { id: reply.claimId, requestedAt: reply.requestedAt }, settings);
    this.setTarget();
    if (reply.paused !== null) this.ended ??= 'paused';
    else if (settings.batchLimit !== null && reply.counts.claimed >= settings.batchLimit)
      this.ended ??= 'batch limit';
    else if (reply.closed) this.ended ??= this.breaker.everOpened ? 'breaker' : 'drained';
    return reply;
  }

  /** Whether, after a failed exchange, there are outcomes to save and time to do so. */
  private canContinue({ kind }: StoreError): boolean {
    if (this.executor.busy > 0 || this.lanes > 1) return true;
    if (!this.exchanges.timeFor(exchangeMs + retryMs)) return false;
    // An exchange without a claim may succeed: it writes outcomes, and releases rows whose claim was not answered.
    if (this.error === null && (this.exchanges.size > 0 || this.exchanges.isUnanswered)) return true;
    return kind === 'unavailable' && this.settings !== null;
  }

  /** Stops claims and starts. The error is thrown once running rows are settled. */
  private fail(error: StoreError): void {
    this.error ??= error;
    this.stopStarting();
  }

  private stopStarting(): void {
    if (this.executor.phase === 'running') this.executor.phase = 'stopping';
  }

  private asThrown(error: unknown): unknown {
    if (!isStoreError(error)) return error;
    const first = this.error ?? error;
    this.exchanges.logUnsettled(error);
    if (first.kind !== 'registry') first.counts = { ...this.exchanges.counts };
    return first;
  }

  /** Ends the tick early when `stop` fires. Returns a function that removes the listener. */
  private listenForStop(): () => void {
    const { stop } = this.options;
    if (!stop) return () => {};
    let cancel = () => {};
    const end = () => {
      this.ended ??= 'stopped';
      this.stopStarting();
      // The grace period starts now, so no cold start counts against it.
      this.budget.limitTo(this.ports.clock.now() + stop.graceMs + coldStartMs);
      cancel = this.ports.clock.timer(Math.max(0, stop.graceMs - stopMarginMs), () => this.executor.abort());
      this.wake();
    };
    if (stop.signal.aborted) end();
    else stop.signal.addEventListener('abort', end, { once: true });
    return () => {
      cancel();
      stop.signal.removeEventListener('abort', end);
    };
  }

  private checkBudget(): void {
    // The first exchange brings the queue's timeout.
    if (this.ended !== null || !this.settings) return;
    if (this.budget.admits(this.executor.timeoutMs(null), claimMs)) return;
    this.ended = this.breaker.everOpened ? 'breaker' : 'budget';
  }

  /** Checks unknown rows in the rest of the budget. The tick is closed already, so a failure is only logged. */
  private async checkUnknown(): Promise<Checks | undefined> {
    if (!this.queue.reconcile) return undefined;
    try {
      const { checked, resolved } = await reconcileWithin(this.budget, this.queue, this.ports, this.options);
      return checked > 0 ? { checked, resolved } : undefined;
    } catch (error) {
      const { message } = asStoreError(error);
      this.ports.log.warn({ tick: this.identity.id, reason: message }, 'unknown rows could not be checked');
      return undefined;
    }
  }

  /** Says how the registry contradicts the code or the limit, and how to correct it; null if it does not. */
  private faultOf({ delivery, timeoutSeconds, budgetSeconds }: QueueSettings): string | null {
    const { name } = this.queue;
    if (delivery !== this.queue.delivery) {
      const { delivery: wanted } = this.queue;
      return `${name} is ${wanted} in the code and ${delivery} in the registry: change the code, or call add_queue again with '${wanted}'`;
    }
    if (timeoutSeconds * 1_000 > longestAttemptMs(this.options.limitMs)) {
      return `${name}: the registry's timeout of ${timeoutSeconds} s does not fit into a tick of ${this.options.limitMs / 1_000} s: change it in punctual.queues`;
    }
    const timeoutMs = Math.min(this.queue.timeoutMs, timeoutSeconds * 1_000);
    if (budgetSeconds === null || timeoutMs + claimMs <= budgetSeconds * 1_000) return null;
    return `${name}: nothing fits into the registry's budget of ${budgetSeconds} s, since a row may take ${timeoutMs / 1_000} s: change it in punctual.queues`;
  }

  /** The number of rows to claim; null, before the settings are known, is the queue's concurrency. */
  private want(): number | null {
    if (this.ended !== null || this.error) return 0;
    if (!this.settings) return null;
    const { batchLimit } = this.settings;
    const room = this.target - this.executor.busy - this.requested;
    const left = (batchLimit ?? Number.POSITIVE_INFINITY) - this.exchanges.counts.claimed - this.requested;
    return Math.max(0, Math.min(room, left));
  }

  private setTarget(): void {
    if (!this.settings) return;
    const rowMs = (share: number) => this.executor.durations.quantile(share) ?? this.executor.timeoutMs(null);
    this.target =
      // A dead row may be one that kills its tick: it should take few others with it.
      this.identity.asked?.state === 'dead'
        ? this.settings.concurrency
        : targetRows(this.settings, {
            callMs: this.exchanges.typicalMs ?? 0,
            rowMs: rowMs(0.5),
            longRowMs: rowMs(0.95),
            leftMs: this.budget.abortAt - this.ports.clock.now(),
          });
  }

  private isTimeToExchange(): boolean {
    if (!this.settings || this.lanes >= this.mostLanes()) return false;
    if (this.wantsRows(this.settings)) return true;
    // Outcomes and progress go with the next exchange.
    if (this.lanes > 0) return false;
    if ((this.exchanges.progressAgeMs ?? 0) >= progressMs) return true;
    return this.exchanges.size > 0 && this.exchanges.ageMs >= this.groupMs();
  }

  private mostLanes(): number {
    return this.error === null && this.exchanges.mayOverlap ? 2 : 1;
  }

  private wantsRows(settings: QueueSettings): boolean {
    const want = this.want() ?? 0;
    if (want === 0 || want < leastOfCall(settings, this.target)) return false;
    // Under at-most-once an outcome may free an account.
    return settings.delivery === 'at-most-once' ? this.exchanges.size > 0 : !this.drained;
  }

  /** How long outcomes wait for each other. Longer while the database fails. */
  private groupMs(): number {
    if (this.error) return retryMs;
    return outcomeGroupMs(this.queue.delivery, this.executor.durations.quantile(0.5) ?? 0);
  }

  /** Resolves when an attempt ends or reports progress, or when the oldest outcome has waited long enough. */
  private nextEvent(): Promise<void> {
    return new Promise((resolve) => {
      // While an exchange is in flight, its end wakes the tick.
      const waitMs =
        this.lanes > 0
          ? Number.POSITIVE_INFINITY
          : Math.min(
              this.exchanges.size > 0 ? this.groupMs() - this.exchanges.ageMs : Number.POSITIVE_INFINITY,
              progressMs - (this.exchanges.progressAgeMs ?? Number.NEGATIVE_INFINITY),
            );
      const cancel = Number.isFinite(waitMs)
        ? this.ports.clock.timer(Math.max(0, waitMs), () => this.wake())
        : () => {};
      this.wake = () => {
        this.wake = () => {};
        cancel();
        resolve();
      };
    });
  }

  private checkTimeout(timeoutMs: number): void {
    const most = longestAttemptMs(this.options.limitMs);
    if (timeoutMs <= most) return;
    throw new NotConfiguredError(
      `${this.queue.name}: a timeout of ${timeoutMs} ms does not fit into a tick of ${this.options.limitMs} ms. ` +
        `Set timeoutMs in the queue's definition to ${most} ms at most, or raise the route's maxDuration.`,
      [],
    );
  }

  private async takeLock(): Promise<void> {
    if (this.identity.asked) return;
    const { id, partition } = this.identity;
    this.identity.lock = await this.lock.take(`${this.queue.name}:${partition}`, id);
  }

  /** Extends the lock to the tick's limit once it has rows. Releases it if the queue allows several ticks at a time. */
  private async extendLock({ settings, rows }: ExchangeReply): Promise<void> {
    if (settings.maxTicks > 1) await this.lock.release();
    else if (rows.length > 0) await this.lock.extend(this.options.limitMs);
  }

  /** Without `last`, the report that a closing exchange writes to the ledger. */
  private report(last?: ExchangeReply, checks?: Checks): TickReport {
    // A tick that outlived its limit was marked as died, but did run.
    const outcome = !last?.outcome || last.outcome === 'died' ? 'ran' : last.outcome;
    const { durations } = this.executor;
    return {
      queue: this.queue.name,
      partition: this.identity.partition,
      tick: this.identity.id,
      scheduler: this.identity.scheduler,
      slot: this.identity.slot,
      continuation: this.identity.continuation,
      runId: this.identity.runId,
      outcome,
      ended: outcome === 'skipped' ? null : (this.ended ?? (this.breaker.everOpened ? 'breaker' : 'drained')),
      counts: { ...this.exchanges.counts },
      budgetMs: this.budget.workMs,
      batchLimit: this.settings?.batchLimit ?? null,
      concurrency: this.settings?.concurrency ?? null,
      maxContinuations: this.settings?.maxContinuations ?? null,
      usedMs: this.budget.usedMs(),
      lock: this.identity.lock,
      backlogDue: last?.due ?? null,
      nextDueInMs: last?.nextDueInMs ?? null,
      performMs: { p50: durations.quantile(0.5), p95: durations.quantile(0.95) },
      exchanges: this.exchanges.calls + (last ? 0 : 1),
      duplicate: this.duplicate,
      ...(checks && { checks }),
      ...(this.error && { fault: this.error.message }),
    };
  }
}
