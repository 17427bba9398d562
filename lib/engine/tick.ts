import { Breaker } from './breaker';
import { type Budget, longestAttemptMs, startBudget } from './budget';
import { coldStartMs, Exchanges, exchangeMs } from './exchanges';
import { Performing } from './performing';
import { type Clock, type NewId, type Random, sleep } from './ports/clock';
import type { Log } from './ports/log';
import type { HeldLock, OverlapLock } from './ports/overlap-lock';
import type { ExchangeReply, QueueSettings, QueueStore, TickIdentity } from './ports/queue-store';
import { asStoreError, isStoreError, StoreError } from './ports/store-error';
import { NotConfiguredError, type Queue } from './queue';
import { reconcileWithin } from './reconcile';
import type { StopSignal } from './stop-signal';
import type { Checks, TickReport } from './tick-report';

export interface TickPorts {
  store: QueueStore;
  clock: Clock;
  log: Log;
  random: Random;
  newId: NewId;
  /** Null where there is none: the exchange alone keeps ticks apart then. */
  lock: OverlapLock | null;
}

export interface TickOptions<Deps> {
  deps: Deps;
  /** `main` where the queue has no partitions. */
  partition?: string;
  /** The platform's limit in milliseconds, counted from `startedAt`. */
  limitMs: number;
  /** The first line of the handler, in the clock's milliseconds; now if not given. */
  startedAt?: number;
  /** What called. */
  scheduler: string;
  /** The instant of the schedule that this tick answers, ISO 8601, where it is known. */
  slot?: string | null;
  /** The endpoint that was called, and the cron expression by which, where they are known. */
  path?: string | null;
  schedule?: string | null;
  /** 0 for the tick that the scheduler asked for; one more for each continuation, which keeps the run id. */
  continuation?: number;
  /** A UUID; the tick's own id if not given. */
  runId?: string;
  /** Work ends then, in the clock's milliseconds, if not before. */
  endBy?: number;
  /** Ends the tick early. */
  stop?: StopSignal;
  /**
   * Somebody asks for rows: due ones, or dead ones, of which each that was dead before is run once more. `limit` of them at most, the
   * queue's batch limit where it is null. Runs beside the queue's other ticks, and takes no lock.
   */
  asked?: { state: 'pending' | 'dead'; limit: number | null };
}

/** Kept of the grace: an attempt that is cut says what it was doing, and what it came to is settled. */
const stopMarginMs = 6_000;
/** Enough for a cron event that is delivered twice; a tick with work to do makes it longer. */
const lockLifetimeMs = 5_000;
/** How long an outcome waits at most for others to share its call. Quick rows do not wait for slow ones. */
const groupMs = { 'at-most-once': 250, 'at-least-once': 20 };
/** How often it is written how far rows are. */
const progressMs = 1_000;
/** What a claim takes before its rows can start. */
const claimMs = 500;
/** Between the tries to end a tick. */
const retryMs = 1_000;

/**
 * One tick: claims due rows of one partition, performs them side by side, settles what they came to, and ends before the
 * platform would end it. Checks unknown rows in the time that is left.
 *
 * Throws a `StoreError` when the database cannot be reached or refuses, or the registry goes against the code; a `NotConfiguredError`
 * when the queue's own timeout does not fit into the limit.
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
  /** Later than the call's first line, where one call has several ticks. */
  private readonly begunAt: number;
  private readonly breaker = new Breaker();
  private readonly exchanges: Exchanges;
  private readonly performing: Performing<Row, Deps, Env>;
  /** Of the latest answer. */
  private settings: QueueSettings | null = null;
  private duplicate = false;
  /** The latest claim got less than it asked for. */
  private drained = false;
  /** Why nothing more is claimed; null while rows are. */
  private ended: TickReport['ended'] = null;
  /** Why nothing more is claimed or started, and the call is answered by it. */
  private error: StoreError | null = null;
  private lock: HeldLock | null = null;
  private wake: () => void = () => {};

  constructor(
    private readonly queue: Queue<Row, Deps, Env>,
    private readonly ports: TickPorts,
    private readonly options: TickOptions<Deps>,
  ) {
    this.begunAt = ports.clock.now();
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
    this.exchanges = new Exchanges(this.identity, ports, this.breaker, this.budget);
    const onNews = () => this.wake();
    this.performing = new Performing(
      queue,
      options.deps,
      ports,
      this.budget,
      this.breaker,
      this.exchanges,
      onNews,
    );
  }

  async run(): Promise<TickReport> {
    this.checkTimeout(this.queue.timeoutMs);
    await this.takeLock();
    const forget = this.heedStop();
    try {
      const last = await this.work();
      this.performing.phase = 'closed';
      await this.exchanges.settleLate();
      if (this.error) throw this.error;
      // An idle tick lets its lock run out: giving it back would cost a second command.
      if (this.exchanges.counts.claimed > 0) await this.releaseLock();
      const report = this.report(last, last.checksDue ? await this.checkUnknown() : undefined);
      this.ports.log.info({ ...report }, 'tick');
      return report;
    } catch (error) {
      throw this.told(error);
    } finally {
      forget();
      this.performing.phase = 'closed';
      if (this.exchanges.counts.claimed > 0) await this.releaseLock();
    }
  }

  /** Starts, waits and exchanges until nothing is left to start, under way or to be settled. Answers the exchange that closed the tick. */
  private async work(): Promise<ExchangeReply> {
    for (;;) {
      this.heedBudget();
      const { busy } = this.performing;
      if (busy > 0 && !this.isTimeToExchange()) {
        await this.somethingHappens();
        continue;
      }
      try {
        const reply = await this.exchange(busy === 0);
        // Whatever closed it: what is under way ends, and is settled.
        if (reply.closed && this.performing.busy === 0) return reply;
      } catch (thrown) {
        const error = asStoreError(thrown);
        if (!this.mayGoOn(error)) throw error;
        this.fail(error);
        if (busy === 0 && error.kind === 'unavailable') await sleep(this.ports.clock, retryMs);
      }
    }
  }

  private async exchange(closes: boolean): Promise<ExchangeReply> {
    const want = this.want();
    const reply = await this.exchanges.exchange({
      want,
      close: closes,
      report: closes ? this.report() : null,
    });
    const { settings } = reply;
    const isFirst = this.settings === null;
    this.settings = settings;
    this.duplicate ||= reply.duplicate;
    if (settings.budgetSeconds !== null) this.budget.endBy(this.begunAt + settings.budgetSeconds * 1_000);
    this.drained = reply.rows.length < (want ?? settings.concurrency);
    const fault = this.faultOf(settings);
    if (fault) this.fail(new StoreError('registry', fault));
    if (isFirst) await this.keepLock(reply);
    this.performing.start(reply.rows, { id: reply.claimId, requestedAt: reply.requestedAt }, settings);
    if (reply.paused !== null) this.ended ??= 'paused';
    else if (settings.batchLimit !== null && reply.counts.claimed >= settings.batchLimit)
      this.ended ??= 'batch limit';
    else if (reply.closed) this.ended ??= this.breaker.everOpened ? 'breaker' : 'drained';
    return reply;
  }

  /** After an exchange that failed: whether there is something to save, and time for it. */
  private mayGoOn({ kind }: StoreError): boolean {
    if (this.performing.busy > 0) return true;
    if (!this.exchanges.timeFor(exchangeMs + retryMs)) return false;
    // Without a claim outcomes may be written all the same, and rows that were claimed unheard go back.
    if (this.error === null && (this.exchanges.size > 0 || this.exchanges.isUnanswered)) return true;
    return kind === 'unavailable' && this.settings !== null;
  }

  /** What is under way ends, nothing more is started, everything is settled; then the error is thrown. */
  private fail(error: StoreError): void {
    this.error ??= error;
    this.halt();
  }

  private halt(): void {
    if (this.performing.phase === 'open') this.performing.phase = 'halted';
  }

  private told(error: unknown): unknown {
    if (!isStoreError(error)) return error;
    const first = this.error ?? error;
    this.exchanges.giveUp(error);
    if (first.kind !== 'registry') first.counts = { ...this.exchanges.counts };
    return first;
  }

  /** Answers what takes the listening back. */
  private heedStop(): () => void {
    const { stop } = this.options;
    if (!stop) return () => {};
    let cancel = () => {};
    const end = () => {
      this.ended ??= 'stopped';
      this.halt();
      // No platform began to count before our first line here.
      this.budget.limitTo(this.ports.clock.now() + stop.graceMs + coldStartMs);
      cancel = this.ports.clock.timer(Math.max(0, stop.graceMs - stopMarginMs), () => this.performing.cut());
      this.wake();
    };
    if (stop.signal.aborted) end();
    else stop.signal.addEventListener('abort', end, { once: true });
    return () => {
      cancel();
      stop.signal.removeEventListener('abort', end);
    };
  }

  private heedBudget(): void {
    // How long a row may take is known from the first answer on.
    if (this.ended !== null || !this.settings) return;
    if (this.budget.admits(this.performing.timeoutMs(null), claimMs)) return;
    this.ended = this.breaker.everOpened ? 'breaker' : 'budget';
  }

  /** Unknown rows, in what the budget leaves: the tick is closed, and whatever comes of it is no part of it. */
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

  /** What in the registry goes against the code or the limit, and how to correct it. */
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

  /** Rows to ask for; null for as many as run side by side, before it is known how many. Under at-most-once only what can start at once: a crash leaves no more than those uncertain. */
  private want(): number | null {
    if (this.ended !== null || this.error) return 0;
    if (!this.settings) return null;
    const { batchLimit, concurrency, delivery } = this.settings;
    // What was dead may be what kills ticks: no more than what runs beside it is to go with it.
    const atOnce = delivery === 'at-most-once' || this.identity.asked?.state === 'dead';
    const room = (atOnce ? concurrency : this.prefetch(concurrency)) - this.performing.busy;
    const left = (batchLimit ?? Number.POSITIVE_INFINITY) - this.exchanges.counts.claimed;
    return Math.max(0, Math.min(room, left));
  }

  /** Enough rows at hand that slots never wait for a call, and no more than the rest of the budget can finish. */
  private prefetch(concurrency: number): number {
    const typicalMs = Math.max(
      1,
      this.performing.durations.quantile(0.95) ?? this.performing.timeoutMs(null),
    );
    const finishable = Math.floor((this.budget.abortAt - this.ports.clock.now()) / typicalMs) * concurrency;
    return Math.max(concurrency, Math.min(3 * concurrency, finishable));
  }

  private isTimeToExchange(): boolean {
    const { concurrency, delivery } = this.settings as QueueSettings;
    const want = this.want() ?? 0;
    if (want > 0 && delivery === 'at-least-once' && !this.drained && want >= concurrency) return true;
    if ((this.exchanges.progressAgeMs ?? 0) >= progressMs) return true;
    if (this.exchanges.size === 0) return false;
    if (want > 0 && delivery === 'at-most-once' && this.performing.free >= Math.ceil(concurrency / 2))
      return true;
    return this.exchanges.ageMs >= this.groupMs();
  }

  /** How long outcomes wait for each other; longer while the database fails. */
  private groupMs(): number {
    return this.error ? retryMs : groupMs[this.queue.delivery];
  }

  /** Until an attempt ends or says how far it is, or the oldest outcome has waited long enough. */
  private somethingHappens(): Promise<void> {
    return new Promise((resolve) => {
      const waitMs = Math.min(
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
    if (!this.ports.lock || this.identity.asked) return;
    const key = `${this.queue.name}:${this.identity.partition}`;
    const attempt = await this.ports.lock.acquire(key, lockLifetimeMs);
    this.identity.lock = attempt.state;
    if (attempt.state === 'acquired') this.lock = attempt.lock;
    if (attempt.state === 'unavailable') {
      this.ports.log.warn(
        { tick: this.identity.id, reason: attempt.reason },
        'the lock is unavailable; the tick goes on without it',
      );
    }
  }

  /** For as long as the tick may last, once it has work to do; where more than one tick may run, the lock only stands in the others' way. */
  private async keepLock({ settings, rows }: ExchangeReply): Promise<void> {
    if (settings.maxTicks > 1) await this.releaseLock();
    else if (rows.length > 0) await this.lock?.extend(this.options.limitMs);
  }

  private async releaseLock(): Promise<void> {
    const { lock } = this;
    this.lock = null;
    await lock?.release();
  }

  /** Without `last` it is one that travels with a call, for the ledger, and is kept if that call is the last. */
  private report(last?: ExchangeReply, checks?: Checks): TickReport {
    // One that outlived its limit was called dead, and did its work.
    const outcome = !last?.outcome || last.outcome === 'died' ? 'ran' : last.outcome;
    const { durations } = this.performing;
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
