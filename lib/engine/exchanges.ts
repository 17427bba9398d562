import type { Breaker } from './breaker.ts';
import type { Budget } from './budget.ts';
import { type Clock, sleep } from './ports/clock.ts';
import type { Log } from './ports/log.ts';
import type {
  ExchangeReply,
  ExchangeRequest,
  ProgressNote,
  ProviderNote,
  QueueStore,
  Settlement,
  TickIdentity,
} from './ports/queue-store.ts';
import { asStoreError, StoreError } from './ports/store-error.ts';
import { noCounts, type TickCounts } from './tick-report.ts';
import { transportable } from './transportable.ts';

/** The transports time out after this. */
export const exchangeMs = 5_000;
/** The database cancels a call after this. */
const statementMs = 4_000;
/** Allowed for a cold start, which the platform counts. */
export const coldStartMs = 3_000;
/** Allowed for the response. */
const responseMs = 500;
/** Between a failed call and its repeat. */
const pauseMs = 200;

/** A new measurement's share of the average. */
const smoothing = 0.2;

/** The number of an exchange, and what a repeat of it sends again. */
interface Numbered {
  seq: number;
  notes: ProviderNote[];
  /** When the claim was first requested, in the clock's milliseconds. */
  requestedAt: number;
}

/**
 * The client side of a tick's exchanges: keeps outcomes until the database has them, numbers the exchanges, and repeats one without a response
 * under the same number, so that its effect is neither lost nor doubled. Several may be in flight.
 */
export class Exchanges {
  /** The ledger's counts. */
  counts: TickCounts = { ...noCounts };
  /** Calls to the database, including repeats. */
  calls = 0;
  /** The typical time of an exchange in milliseconds; null before the first response. */
  typicalMs: number | null = null;

  /** By row and claim: a late attempt may end while the row's next one runs. */
  private readonly outcomes = new Map<string, Settlement>();
  private readonly progress = new Map<string, ProgressNote>();
  private progressSince: number | null = null;
  private oldestAt: number | null = null;
  /** The number of the latest exchange. */
  private seq = 0;
  /** The highest number with a response. */
  private answered = 0;
  /** Exchanges that were sent and had no response, by number. */
  private readonly unanswered: Numbered[] = [];
  /** Exchanges in flight that carry notes on providers. */
  private noting = 0;
  /** The most outcomes or rows of one call after a call was too slow; null before. */
  private maxItems: number | null = null;
  /** Half the size of the call that was too slow. */
  private cap = Number.POSITIVE_INFINITY;

  constructor(
    private readonly tick: TickIdentity,
    private readonly ports: { store: QueueStore; clock: Clock; log: Log },
    private readonly breaker: Breaker,
    private readonly budget: Budget,
  ) {}

  /** Keeps an outcome for the next exchange. A later outcome of the same attempt replaces it. */
  add(settlement: Settlement): void {
    const { id, result } = settlement;
    if (result !== undefined)
      settlement.result = transportable(result, (reason) => this.dropResult(id, reason));
    this.outcomes.set(keyOf(settlement), settlement);
    this.oldestAt ??= this.ports.clock.now();
  }

  /** Keeps a row's latest progress for the next exchange. It is dropped if that exchange fails. */
  addProgress(note: ProgressNote): void {
    const kept = transportable({ value: note.value }, (reason) => this.dropResult(note.id, reason));
    if (kept?.value === undefined) return;
    this.progress.set(note.id, { ...note, value: kept.value });
    this.progressSince ??= this.ports.clock.now();
  }

  /** The age of the oldest progress in milliseconds; null if there is none. */
  get progressAgeMs(): number | null {
    return this.progressSince === null ? null : this.ports.clock.now() - this.progressSince;
  }

  /** Outcomes that are not written yet. */
  get size(): number {
    return this.outcomes.size;
  }

  /** An exchange had no response and may have had its effect. */
  get isUnanswered(): boolean {
    return this.unanswered.length > 0;
  }

  /**
   * Whether another exchange may be sent while one is in flight. One that arrives after a later number notes no provider, so notes travel alone,
   * and so does a repeat.
   */
  get mayOverlap(): boolean {
    return !this.isUnanswered && this.noting === 0 && !this.breaker.hasNotes;
  }

  /** The age of the oldest outcome, in milliseconds. */
  get ageMs(): number {
    return this.oldestAt === null ? 0 : this.ports.clock.now() - this.oldestAt;
  }

  /**
   * Sends all outcomes, or fewer after a call that was too slow; repeats the call once if there is no response. `requestedAt` is when the claim
   * was first requested. `isLate`: a later exchange was answered before, so this one may have claimed nothing. Throws a `StoreError` and keeps
   * all outcomes.
   */
  async exchange(
    call: Pick<ExchangeRequest, 'want' | 'close' | 'report'>,
  ): Promise<ExchangeReply & { requestedAt: number; isLate: boolean }> {
    const settlements = [...this.outcomes.values()];
    const repeated = this.unanswered.shift();
    const numbered = repeated ?? {
      seq: ++this.seq,
      notes: this.breaker.takeNotes(),
      requestedAt: this.ports.clock.now(),
    };
    const { seq, notes, requestedAt } = numbered;
    let mayHaveEffect = repeated !== undefined;
    const progress = [...this.progress.values()];
    this.progress.clear();
    this.progressSince = null;
    this.outcomes.clear();
    this.oldestAt = null;
    const whole = { ...call, tick: this.tick, seq, settlements, providers: notes, progress };
    if (notes.length > 0) this.noting++;
    try {
      const { reply, sent } = await this.sendTwice(whole, () => {
        mayHaveEffect = true;
      });
      const isLate = seq < this.answered;
      this.answered = Math.max(this.answered, seq);
      // Counts never decrease, so of two responses the one with more is the later one.
      if (totalOf(reply.counts) >= totalOf(this.counts)) this.counts = reply.counts;
      this.breaker.setProbing(reply.probing);
      this.putBack(settlements.slice(sent.settlements.length));
      for (const { id, claimId } of reply.refused) {
        this.logUnwritten({ id, claimId }, 'the database refused it: see the history of the row');
      }
      return { ...reply, requestedAt, isLate };
    } catch (error) {
      this.putBack(settlements);
      if (mayHaveEffect) {
        this.unanswered.push(numbered);
        this.unanswered.sort((a, b) => a.seq - b.seq);
      } else this.breaker.putBack(notes);
      throw error;
    } finally {
      if (notes.length > 0) this.noting--;
    }
  }

  /** Writes what came after the tick's last exchange. Never throws: outcomes that cannot be written are logged. */
  async settleLate(): Promise<void> {
    try {
      while (this.outcomes.size > 0 || this.breaker.hasNotes)
        await this.exchange({ want: 0, close: false, report: null });
    } catch (error) {
      this.logUnsettled(error as StoreError);
    }
  }

  /** Logs the outcomes that are left. Their rows are swept after their lease. */
  logUnsettled({ message }: StoreError): void {
    for (const settlement of this.outcomes.values()) this.logUnwritten(settlement, message);
    this.outcomes.clear();
  }

  /** Whether work of `ms` leaves time for the response. */
  timeFor(ms: number): boolean {
    return this.ports.clock.now() + ms <= this.budget.limitAt - coldStartMs - responseMs;
  }

  /** Sends the request, and again if there is no response. `onUnanswered` is called when a call may have had its effect. */
  private async sendTwice(
    request: ExchangeRequest,
    onUnanswered: () => void,
  ): Promise<{ reply: ExchangeReply; sent: ExchangeRequest }> {
    for (let attempt = 1; ; attempt++) {
      // Past the limit, the machine was suspended, and no platform counts: the outcomes should be written all the same.
      const wasSuspended = attempt === 1 && this.ports.clock.now() > this.budget.limitAt;
      if (!wasSuspended && !this.timeFor(exchangeMs))
        throw new StoreError('unavailable', 'no time is left for a call to the database');
      const sent = this.shrink(request);
      const sentAt = this.ports.clock.now();
      try {
        this.calls++;
        const reply = await this.ports.store.exchange(sent);
        const ms = this.ports.clock.now() - sentAt;
        this.typicalMs = this.typicalMs === null ? ms : this.typicalMs + smoothing * (ms - this.typicalMs);
        if (this.maxItems !== null) this.maxItems = Math.min(2 * this.maxItems, this.cap);
        return { reply, sent };
      } catch (thrown) {
        const error = asStoreError(thrown);
        const { kind, code, message } = error;
        if (kind === 'unavailable') onUnanswered();
        this.ports.log.warn({ tick: this.tick.id, attempt, kind, reason: message }, 'an exchange failed');
        if (code === '57014' || (kind === 'unavailable' && this.ports.clock.now() - sentAt >= statementMs)) {
          const size = sent.settlements.length || sent.want || 0;
          this.maxItems = Math.max(1, Math.ceil(size / 10));
          if (size > 0) this.cap = Math.max(1, Math.floor(size / 2));
        }
        if (attempt === 2 || kind !== 'unavailable') throw error;
        await sleep(this.ports.clock, pauseMs);
      }
    }
  }

  /** Cuts a request to `maxItems` outcomes or, without outcomes, to as many rows. */
  private shrink(request: ExchangeRequest): ExchangeRequest {
    const { maxItems } = this;
    if (maxItems === null) return request;
    const settlements = request.settlements.slice(0, maxItems);
    const light = { ...request, settlements, callMs: 0 };
    if (settlements.length === 0) return { ...light, want: Math.min(request.want ?? maxItems, maxItems) };
    const isAll = settlements.length === request.settlements.length;
    return { ...light, want: 0, close: isAll && request.want === 0 && request.close };
  }

  private putBack(settlements: Settlement[]): void {
    for (const settlement of settlements) {
      // An outcome that was added during the call is newer.
      if (this.outcomes.has(keyOf(settlement))) continue;
      this.outcomes.set(keyOf(settlement), settlement);
      this.oldestAt ??= this.ports.clock.now();
    }
  }

  private dropResult(id: string, reason: string): void {
    this.ports.log.error({ id, queue: this.tick.queue, reason }, 'a result is not JSON and was left out');
  }

  private logUnwritten(settlement: Partial<Settlement>, reason: string): void {
    this.ports.log.error(
      { ...settlement, answer: undefined, queue: this.tick.queue, reason },
      'an outcome could not be written; its row keeps the status running until its lease ends and it is swept',
    );
  }
}

const totalOf = (counts: TickCounts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

const keyOf = ({ id, claimId }: Pick<Settlement, 'id' | 'claimId'>): string => `${claimId} ${id}`;
