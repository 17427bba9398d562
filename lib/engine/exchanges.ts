import type { Breaker } from './breaker';
import type { Budget } from './budget';
import { type Clock, sleep } from './ports/clock';
import type { Log } from './ports/log';
import type {
  ExchangeReply,
  ExchangeRequest,
  ProgressNote,
  ProviderNote,
  QueueStore,
  Settlement,
  TickIdentity,
} from './ports/queue-store';
import { asStoreError, StoreError } from './ports/store-error';
import type { TickCounts } from './tick-report';
import { transportable } from './transportable';

/** The longest one call to the database takes: the transports give up then. */
export const exchangeMs = 5_000;
/** The database ends a call then. */
const statementMs = 4_000;
/** What the platform may have counted before the first line of the handler, and what the answer takes. */
export const coldStartMs = 3_000;
const answerMs = 500;
/** Between a call that failed and the same call again. */
const pauseMs = 200;

/**
 * One tick's side of the protocol: keeps outcomes until the database has them, numbers the exchanges, and repeats one that was not
 * answered under its number, so that what a lost answer did is neither lost nor done again.
 */
export class Exchanges {
  /** As the ledger has them. */
  counts: TickCounts = {
    claimed: 0,
    done: 0,
    retried: 0,
    again: 0,
    dead: 0,
    unknown: 0,
    released: 0,
    lost: 0,
    swept: 0,
  };
  /** Calls made to the database, repeats included. */
  calls = 0;

  /** By row and claim: an attempt that was left behind may end while a later one of its row is under way. */
  private readonly outcomes = new Map<string, Settlement>();
  private readonly progress = new Map<string, ProgressNote>();
  private progressSince: number | null = null;
  private oldestAt: number | null = null;
  private seq = 1;
  /** Of the exchange of this number, which was sent and not answered. */
  private unanswered: { notes: ProviderNote[]; requestedAt: number } | null = null;
  /** What a call brings or asks for at most, once one took too long; null while none has. */
  private most: number | null = null;
  /** Half of what was too much. */
  private cap = Number.POSITIVE_INFINITY;

  constructor(
    private readonly tick: TickIdentity,
    private readonly ports: { store: QueueStore; clock: Clock; log: Log },
    private readonly breaker: Breaker,
    private readonly budget: Budget,
  ) {}

  /** Keeps an outcome for the next exchange. A later word on the same attempt takes the place of an earlier one. */
  add(settlement: Settlement): void {
    const { id, result } = settlement;
    this.outcomes.set(keyOf(settlement), {
      ...settlement,
      result: transportable(result, (reason) => this.leaveOut(id, reason)),
    });
    this.oldestAt ??= this.ports.clock.now();
  }

  /** Keeps how far a row is for the next exchange: the latest word, and gone if that exchange fails. */
  addProgress(note: ProgressNote): void {
    const kept = transportable({ value: note.value }, (reason) => this.leaveOut(note.id, reason));
    if (kept?.value === undefined) return;
    this.progress.set(note.id, { ...note, value: kept.value });
    this.progressSince ??= this.ports.clock.now();
  }

  /** How long the oldest word on how far a row is has waited; null where there is none. */
  get progressAgeMs(): number | null {
    return this.progressSince === null ? null : this.ports.clock.now() - this.progressSince;
  }

  /** Outcomes that wait. */
  get size(): number {
    return this.outcomes.size;
  }

  /** An exchange may have been carried out, and nobody knows what came of it. */
  get isUnanswered(): boolean {
    return this.unanswered !== null;
  }

  /** How long the oldest outcome has waited. */
  get ageMs(): number {
    return this.oldestAt === null ? 0 : this.ports.clock.now() - this.oldestAt;
  }

  /**
   * One exchange, which brings what there is; sent once more when no answer comes. Outcomes that it does not bring, since one before it took
   * too long, are kept. Answers besides when the claim of its rows was first requested. Throws a `StoreError`; all outcomes are kept then.
   */
  async exchange(
    call: Pick<ExchangeRequest, 'want' | 'close' | 'report'>,
  ): Promise<ExchangeReply & { requestedAt: number }> {
    const settlements = [...this.outcomes.values()];
    const { notes, requestedAt } = this.unanswered ?? {
      notes: this.breaker.takeNotes(),
      requestedAt: this.ports.clock.now(),
    };
    const progress = [...this.progress.values()];
    this.progress.clear();
    this.progressSince = null;
    this.outcomes.clear();
    this.oldestAt = null;
    const whole = { ...call, tick: this.tick, seq: this.seq, settlements, providers: notes, progress };
    try {
      const { reply, sent } = await this.sendTwice(whole, () => {
        this.unanswered = { notes, requestedAt };
      });
      this.seq++;
      this.unanswered = null;
      this.counts = reply.counts;
      this.breaker.setProbing(reply.probing);
      this.keep(settlements.slice(sent.settlements.length));
      for (const { id, claimId } of reply.refused) {
        this.logUnwritten({ id, claimId }, 'the database refused it: the history of the row says why');
      }
      return { ...reply, requestedAt };
    } catch (error) {
      this.keep(settlements);
      if (!this.unanswered) this.breaker.giveBack(notes);
      throw error;
    }
  }

  /** What came in too late for the tick's last exchange, or was noticed of providers. Never throws: what is not written is logged. */
  async settleLate(): Promise<void> {
    try {
      while (this.outcomes.size > 0 || this.breaker.hasNotes)
        await this.exchange({ want: 0, close: false, report: null });
    } catch (error) {
      this.giveUp(error as StoreError);
    }
  }

  /** Nothing more can be written: what is left is logged, and its rows are swept after their lease. */
  giveUp({ message }: StoreError): void {
    for (const settlement of this.outcomes.values()) this.logUnwritten(settlement, message);
    this.outcomes.clear();
  }

  /** Whether what takes `ms` ends in time for the answer, on a platform that began to count before our first line. */
  timeFor(ms: number): boolean {
    return this.ports.clock.now() + ms <= this.budget.limitAt - coldStartMs - answerMs;
  }

  /** Answers with what was sent of the request. `onUnanswered`: it may have been carried out. */
  private async sendTwice(
    request: ExchangeRequest,
    onUnanswered: () => void,
  ): Promise<{ reply: ExchangeReply; sent: ExchangeRequest }> {
    for (let attempt = 1; ; attempt++) {
      // Whoever is past the limit and still there was suspended: nobody counts any more, and what it did is to be known.
      const wasSuspended = attempt === 1 && this.ports.clock.now() > this.budget.limitAt;
      if (!wasSuspended && !this.timeFor(exchangeMs)) throw new StoreError('unavailable', 'the time is over');
      const sent = this.lighten(request);
      const sentAt = this.ports.clock.now();
      try {
        this.calls++;
        const reply = await this.ports.store.exchange(sent);
        if (this.most !== null) this.most = Math.min(2 * this.most, this.cap);
        return { reply, sent };
      } catch (thrown) {
        const error = asStoreError(thrown);
        const { kind, code, message } = error;
        if (kind === 'unavailable') onUnanswered();
        this.ports.log.warn({ tick: this.tick.id, attempt, kind, reason: message }, 'an exchange failed');
        if (code === '57014' || (kind === 'unavailable' && this.ports.clock.now() - sentAt >= statementMs)) {
          const size = sent.settlements.length || sent.want || 0;
          this.most = Math.max(1, Math.ceil(size / 10));
          if (size > 0) this.cap = Math.max(1, Math.floor(size / 2));
        }
        if (attempt === 2 || kind !== 'unavailable') throw error;
        await sleep(this.ports.clock, pauseMs);
      }
    }
  }

  /** After a call that took too long: outcomes first, then rows, and of each only so many. */
  private lighten(request: ExchangeRequest): ExchangeRequest {
    const { most } = this;
    if (most === null) return request;
    const settlements = request.settlements.slice(0, most);
    const light = { ...request, settlements, callMs: 0 };
    if (settlements.length === 0) return { ...light, want: Math.min(request.want ?? most, most) };
    const isAll = settlements.length === request.settlements.length;
    return { ...light, want: 0, close: isAll && request.want === 0 && request.close };
  }

  private keep(settlements: Settlement[]): void {
    for (const settlement of settlements) {
      // A late word that came in while the call was under way is the newer one.
      if (this.outcomes.has(keyOf(settlement))) continue;
      this.outcomes.set(keyOf(settlement), settlement);
      this.oldestAt ??= this.ports.clock.now();
    }
  }

  private leaveOut(id: string, reason: string): void {
    this.ports.log.error({ id, queue: this.tick.queue, reason }, 'a result is no JSON, and was left out');
  }

  private logUnwritten(settlement: Partial<Settlement>, reason: string): void {
    this.ports.log.error(
      { ...settlement, queue: this.tick.queue, reason },
      'an outcome could not be written; its row stays running until its lease ends',
    );
  }
}

const keyOf = ({ id, claimId }: Pick<Settlement, 'id' | 'claimId'>): string => `${claimId} ${id}`;
