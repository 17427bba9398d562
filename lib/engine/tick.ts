import { Breaker } from './breaker';
import { type Budget, startBudget, workMs } from './budget';
import type { Clock, NewId, Random } from './clock';
import type { Log } from './log';
import type { HeldLock, OverlapLock } from './overlap-lock';
import { Performing } from './performing';
import { NotConfiguredError, type Queue } from './queue';
import type { ExchangeReply, QueueSettings, QueueStore, TickIdentity, UnknownRow } from './queue-store';
import { Reconciling } from './reconciling';
import { coldStartMs, Settling, TickStoreError } from './settling';
import type { TickReport } from './tick-report';

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
  clockName: string;
  /** The instant of the schedule that this tick answers, ISO 8601, where it is known. */
  slot?: string | null;
  /** The endpoint that was called, and the cron expression by which, where they are known. */
  path?: string | null;
  schedule?: string | null;
  /** 0 for the tick that a clock asked for; of one that goes on where another ended one more, and that one's chain. */
  lap?: number;
  /** A UUID; the tick's own id if not given. */
  chain?: string;
  /** Work ends then, in the clock's milliseconds, if not before. */
  endBy?: number;
  /** Ends the tick early. */
  stop?: StopSignal;
  /** Claims nothing, and only asks what became of unknown rows. Runs beside the queue's other ticks. */
  looksOnly?: boolean;
  /**
   * Somebody asks for rows: due ones, or dead ones, of which each that was dead before is run once more. `limit` of them at most, the
   * queue's batch limit where it is null. Runs beside the queue's other ticks, and takes no lock.
   */
  asked?: { state: 'pending' | 'dead'; limit: number | null };
}

/** Somebody wants the process to end: nothing more is started, and what is under way has the rest of `graceMs`. */
export interface StopSignal {
  signal: AbortSignal;
  /** From the signal until the process is ended by force. */
  graceMs: number;
}

/** Kept of the grace: an attempt that is cut says what it was doing, and what it came to is settled. */
const stopMarginMs = 6_000;
/** Enough for a cron event that is delivered twice; a tick with work to do makes it longer. */
const lockLifetimeMs = 5_000;
/** How long an outcome waits at most for others to share its call. Quick rows do not wait for slow ones. */
const groupMs = { 'at-most-once': 250, 'at-least-once': 20 };
/** How often it is written how far rows are. */
const progressMs = 1_000;
/** Unknown rows to look at, before the registry has said how many rows run side by side. */
const firstLooks = 5;
/** What a claim takes before its rows can start. */
const claimMs = 500;

/**
 * One tick: claims due rows of one partition, performs them side by side, settles what they came to, and ends before the
 * platform would end it.
 *
 * Throws a `TickStoreError` when the database cannot be reached or refuses, or the registry goes against the code; a `NotConfiguredError`
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
  private readonly settling: Settling;
  private readonly performing: Performing<Row, Deps, Env>;
  private readonly reconciling: Reconciling<Row, Deps, Env>;
  private settings!: QueueSettings;
  /** Unknown rows that were handed out. */
  private readonly looks: UnknownRow[] = [];
  private held: HeldLock | null = null;
  private duplicate = false;
  /** Somebody wants the process to end. */
  private stopped = false;
  private outcome: TickReport['outcome'] = 'ran';
  /** Why nothing more is claimed. */
  private ended: TickReport['ended'] = null;
  /** The latest claim got less than it asked for. */
  private drained = false;
  private storeError: TickStoreError | null = null;
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
      clock: options.clockName,
      path: options.path ?? null,
      schedule: options.schedule ?? null,
      slot: options.slot ?? null,
      lap: options.lap ?? 0,
      chain: options.chain ?? id,
      limitSeconds: options.limitMs / 1_000,
      lock: 'none',
      providers: queue.providers?.(options.deps) ?? [],
      looksOnly: options.looksOnly ?? false,
      reconciles: queue.reconcile !== undefined,
      asked: options.asked ?? null,
    };
    this.settling = new Settling(this.identity, ports, this.breaker, this.budget);
    this.performing = new Performing(
      queue,
      options.deps,
      ports,
      this.budget,
      this.breaker,
      this.settling,
      () => this.wake(),
    );
    this.reconciling = new Reconciling(queue, options.deps, ports, this.settling);
  }

  async run(): Promise<TickReport> {
    this.checkTimeout(this.queue.timeoutMs);
    await this.takeLock();
    const forget = this.heedStop();
    try {
      const first = await this.open();
      const last = first.closed ? this.endUnworked(first) : await this.pump();
      if (this.storeError) throw this.storeError;
      this.performing.closed = true;
      await this.settling.settleLate();
      const report = this.report(last);
      this.ports.log.info({ ...report }, 'tick');
      return report;
    } finally {
      forget();
      this.performing.closed = true;
      // An idle tick lets its lock run out: giving it back would cost a second command.
      if (this.settling.counts.claimed + this.settling.counts.looked > 0) await this.held?.release();
    }
  }

  /** Answers what takes the listening back. */
  private heedStop(): () => void {
    const { stop } = this.options;
    if (!stop) return () => {};
    let cancel = () => {};
    const end = () => {
      this.ended ??= 'stopped';
      this.stopped = true;
      this.performing.halted = true;
      this.reconciling.cut();
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

  private async open(): Promise<ExchangeReply> {
    const want = this.identity.looksOnly || this.stopped ? 0 : null;
    const first = await this.exchange(want, 'if_drained').catch(async (error: TickStoreError) => {
      // The claim may have been carried out, with its answer lost or refused here: if the database is there, its rows go back.
      if (error.kind !== 'refused') await this.settling.attempt({ close: 'yes', report: this.report() });
      throw error;
    });
    const { maxTicks } = first.settings;
    this.duplicate = first.duplicate;
    // Where more than one tick may run, the lock only stands in the others' way.
    if (maxTicks > 1) {
      await this.held?.release();
      this.held = null;
    } else if (first.rows.length + first.looks.length > 0) await this.held?.extend(this.options.limitMs);
    return first;
  }

  /** Until nothing is left to start, under way or to be settled. Answers the exchange that closed the tick. */
  private async pump(): Promise<ExchangeReply> {
    for (;;) {
      if (this.ended === null && !this.budget.admits(this.performing.timeoutMs(null), claimMs)) {
        this.ended = this.breaker.everOpened ? 'breaker' : 'budget';
      }
      const { busy } = this.performing;
      if (this.looks.length > 0 && !this.storeError && !this.stopped) {
        await this.reconciling.lookAt(this.looks.splice(0));
        continue;
      }
      if (busy === 0 && (this.storeError || (this.ended !== null && this.wantLooks() === 0))) {
        return this.settling.finish(() => this.report());
      }
      if (busy > 0 && !this.isTimeToExchange()) {
        await this.somethingHappens();
        continue;
      }
      const reply = await this.exchange(this.want(), busy === 0 ? 'if_drained' : 'no').catch((error) =>
        this.recover(error),
      );
      if (reply?.closed) {
        this.ended ??= this.drainedBy();
        return reply;
      }
    }
  }

  private async exchange(want: number | null, close: 'no' | 'if_drained'): Promise<ExchangeReply> {
    const reply = await this.settling.exchange({
      want,
      wantLooks: close === 'no' ? 0 : this.wantLooks(),
      close,
      report: close === 'no' ? null : this.report(),
    });
    this.settings = reply.settings;
    if (reply.settings.budgetSeconds !== null)
      this.budget.endBy(this.begunAt + reply.settings.budgetSeconds * 1_000);
    this.drained = reply.rows.length < (want ?? reply.settings.concurrency);
    this.looks.push(...reply.looks);
    const fault = this.faultOf(reply.settings);
    if (fault) this.stop(new TickStoreError('registry', fault));
    this.performing.start(
      reply.rows,
      { id: reply.claimId, requestedAt: this.settling.requestedAt },
      reply.settings,
    );
    const { batchLimit } = reply.settings;
    if (reply.paused !== null) this.ended ??= 'paused';
    else if (batchLimit !== null && this.settling.counts.claimed >= batchLimit) this.ended ??= 'batch limit';
    return reply;
  }

  private async recover(error: TickStoreError): Promise<null> {
    if (error.kind === 'refused' && this.settling.size > 0) await this.settling.isolate();
    else this.stop(error);
    return null;
  }

  /** What is under way ends, nothing more is started, everything is settled; then the error is told. */
  private stop(error: TickStoreError): void {
    this.storeError ??= error;
    this.performing.halted = true;
  }

  /** What in the registry goes against the code or the limit, and how to correct it. */
  private faultOf({ delivery, timeoutSeconds, budgetSeconds }: QueueSettings): string | null {
    const { name } = this.queue;
    if (delivery !== this.queue.delivery) {
      const { delivery: wanted } = this.queue;
      return `${name} is ${wanted} in the code and ${delivery} in the registry: change the code, or call add_queue again with '${wanted}'`;
    }
    if (timeoutSeconds * 1_000 > workMs(this.options.limitMs)) {
      return `${name}: the registry's timeout of ${timeoutSeconds} s does not fit into a tick of ${this.options.limitMs / 1_000} s: change it in punctual.queues`;
    }
    const timeoutMs = Math.min(this.queue.timeoutMs, timeoutSeconds * 1_000);
    if (budgetSeconds === null || timeoutMs + claimMs <= budgetSeconds * 1_000) return null;
    return `${name}: nothing fits into the registry's budget of ${budgetSeconds} s, since a row may take ${timeoutMs / 1_000} s: change it in punctual.queues`;
  }

  /** Rows to ask for. Under at-most-once only what can start at once: a crash leaves no more than those uncertain. */
  private want(): number {
    if (this.ended !== null || this.storeError || this.identity.looksOnly) return 0;
    const { batchLimit, concurrency, delivery } = this.settings;
    // What was dead may be what kills ticks: no more than what runs beside it is to go with it.
    const atOnce = delivery === 'at-most-once' || this.identity.asked?.state === 'dead';
    const room = (atOnce ? concurrency : this.prefetch()) - this.performing.busy;
    return Math.max(
      0,
      Math.min(room, (batchLimit ?? Number.POSITIVE_INFINITY) - this.settling.counts.claimed),
    );
  }

  /** Unknown rows to ask about, in what the budget leaves. */
  private wantLooks(): number {
    if (
      !this.queue.reconcile ||
      this.storeError ||
      this.stopped ||
      !this.budget.admits(this.queue.timeoutMs, claimMs)
    )
      return 0;
    return this.settings?.concurrency ?? firstLooks;
  }

  /** Enough rows at hand that slots never wait for a call, and no more than the rest of the budget can finish. */
  private prefetch(): number {
    const { concurrency } = this.settings;
    const typicalMs = Math.max(
      1,
      percentile(this.performing.durationsMs, 0.95) ?? this.performing.timeoutMs(null),
    );
    const finishable = Math.floor((this.budget.abortAt - this.ports.clock.now()) / typicalMs) * concurrency;
    return Math.max(concurrency, Math.min(3 * concurrency, finishable));
  }

  private isTimeToExchange(): boolean {
    const { concurrency, delivery } = this.settings;
    const claims = this.want() > 0;
    if (claims && delivery === 'at-least-once' && !this.drained && this.want() >= concurrency) return true;
    if ((this.settling.progressAgeMs ?? 0) >= progressMs) return true;
    if (this.settling.size === 0) return false;
    if (claims && delivery === 'at-most-once' && this.performing.free >= Math.ceil(concurrency / 2))
      return true;
    return this.settling.ageMs >= groupMs[delivery];
  }

  /** Until an attempt ends or says how far it is, or the oldest outcome has waited long enough. */
  private somethingHappens(): Promise<void> {
    return new Promise((resolve) => {
      const waitMs = Math.min(
        this.settling.size > 0
          ? groupMs[this.queue.delivery] - this.settling.ageMs
          : Number.POSITIVE_INFINITY,
        progressMs - (this.settling.progressAgeMs ?? Number.NEGATIVE_INFINITY),
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
    const most = workMs(this.options.limitMs);
    if (timeoutMs <= most) return;
    throw new NotConfiguredError(
      `${this.queue.name}: a timeout of ${timeoutMs} ms does not fit into a tick of ${this.options.limitMs} ms. ` +
        `Set timeoutMs in the queue's definition to ${most} ms at most, or raise the route's maxDuration.`,
      [],
    );
  }

  private async takeLock(): Promise<void> {
    if (!this.ports.lock || this.identity.asked) return;
    const attempt = await this.ports.lock.acquire(
      `${this.queue.name}:${this.identity.partition}${this.identity.looksOnly ? ':looks' : ''}`,
      lockLifetimeMs,
    );
    this.identity.lock = attempt.state;
    if (attempt.state === 'acquired') this.held = attempt.lock;
    if (attempt.state === 'unavailable') {
      this.ports.log.warn(
        { tick: this.identity.id, reason: attempt.reason },
        'the lock is unavailable; the tick goes on without it',
      );
    }
  }

  private endUnworked(first: ExchangeReply): ExchangeReply {
    this.outcome = !first.admitted
      ? 'skipped'
      : first.paused !== null
        ? 'paused'
        : first.swept > 0
          ? 'ran'
          : 'idle';
    this.ended = !first.admitted ? null : first.paused !== null ? 'paused' : 'drained';
    return first;
  }

  private drainedBy(): TickReport['ended'] {
    return this.breaker.everOpened ? 'breaker' : 'drained';
  }

  /** Without `last` it is one that travels with a call, for the ledger, and is kept if that call is the last. */
  private report(last?: ExchangeReply): TickReport {
    return {
      queue: this.queue.name,
      partition: this.identity.partition,
      tick: this.identity.id,
      clock: this.identity.clock,
      slot: this.identity.slot,
      lap: this.identity.lap,
      chain: this.identity.chain,
      outcome: this.outcome,
      ended: this.outcome === 'skipped' ? null : (this.ended ?? this.drainedBy()),
      counts: { ...this.settling.counts },
      budgetMs: this.budget.workMs,
      batchLimit: this.settings?.batchLimit ?? null,
      concurrency: this.settings?.concurrency ?? null,
      maxLaps: this.settings?.maxLaps ?? null,
      usedMs: this.budget.usedMs(),
      lock: this.identity.lock,
      backlogDue: last?.due ?? null,
      nextDueInMs: last?.nextDueInMs ?? null,
      performMs: {
        p50: percentile(this.performing.durationsMs, 0.5),
        p95: percentile(this.performing.durationsMs, 0.95),
      },
      exchanges: this.settling.exchanges + (last ? 0 : 1),
      duplicate: this.duplicate,
      ...(this.storeError && { fault: this.storeError.message }),
    };
  }
}

function percentile(values: number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number);
}
