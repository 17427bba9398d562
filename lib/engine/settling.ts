import type { Breaker } from './breaker';
import type { Budget } from './budget';
import { type Clock, type NewId, sleep } from './clock';
import type { Log } from './log';
import type {
  ExchangeReply,
  ExchangeRequest,
  LookSettlement,
  ProgressNote,
  ProviderNote,
  QueueStore,
  Settlement,
  TickIdentity,
} from './queue-store';
import type { TickCounts } from './tick-report';

/** The longest one call to the database takes: the transports give up then. */
export const exchangeMs = 5_000;
/** The database ends a call then. */
const statementMs = 4_000;
/** What the platform may have counted before the first line of the handler, and what the answer takes. */
export const coldStartMs = 3_000;
const answerMs = 500;
/** Between a call that failed and the same call again. */
const pauseMs = 200;
/** Between the tries to end a tick. */
const retryMs = 1_000;

/**
 * The database could not be talked to, or would not do what was asked; what the tick did by then is in `counts`. `registry`: what
 * `punctual.queues` says goes against the code or the limit, and has to be changed there.
 */
export class TickStoreError extends Error {
  override readonly name = 'TickStoreError';
  constructor(
    readonly kind: 'unavailable' | 'refused' | 'misconfigured' | 'registry',
    message: string,
    readonly counts: TickCounts | null = null,
    /** The database's own code, where there was one. */
    readonly code: string | null = null,
  ) {
    super(message);
  }
}

/**
 * One tick's side of the protocol: keeps outcomes until the database has them, repeats what may have been lost on its way, and
 * counts what was applied.
 */
export class Settling {
  readonly counts: TickCounts = {
    claimed: 0,
    done: 0,
    retried: 0,
    again: 0,
    dead: 0,
    unknown: 0,
    released: 0,
    lost: 0,
    swept: 0,
    looked: 0,
    resolved: 0,
  };
  /** Calls made to the database, repeats included. */
  exchanges = 0;
  /** When the claim of the latest exchange was first requested. */
  requestedAt = 0;

  /** By row and claim: an attempt that was left behind may end while a later one of its row is under way. */
  private readonly waiting = new Map<string, Settlement>();
  private readonly findings = new Map<string, LookSettlement>();
  private readonly progress = new Map<string, ProgressNote>();
  private progressSince: number | null = null;
  private seq = 0;
  private oldestAt: number | null = null;
  private readonly unansweredClaims: string[] = [];
  /** What a call brings or asks for at most, once one took too long; null while none has. */
  private most: number | null = null;
  /** Half of what was too much. */
  private cap = Number.POSITIVE_INFINITY;
  private lastError: TickStoreError | null = null;

  constructor(
    private readonly tick: TickIdentity,
    private readonly ports: { store: QueueStore; clock: Clock; log: Log; newId: NewId },
    private readonly breaker: Breaker,
    private readonly budget: Budget,
  ) {}

  /** Keeps an outcome for the next exchange. A later word on the same attempt takes the place of an earlier one. */
  add(settlement: Settlement): void {
    this.waiting.set(keyOf(settlement), { ...settlement, result: this.transportable(settlement) });
    this.oldestAt ??= this.ports.clock.now();
  }

  /** Keeps what was found of an unknown row for the next exchange. */
  addFinding(look: LookSettlement): void {
    this.findings.set(look.id, {
      ...look,
      finding: {
        ...look.finding,
        proofs: look.finding.proofs.map((proof) => ({
          ...proof,
          result: this.transportable({ id: look.id, result: proof.result }),
        })),
      },
    });
  }

  /** Keeps how far a row is for the next exchange: the latest word, and gone if that exchange fails. */
  addProgress(note: ProgressNote): void {
    const kept = this.transportable({ id: note.id, result: { value: note.value } });
    if (kept?.value === undefined) return;
    this.progress.set(note.id, { ...note, value: kept.value });
    this.progressSince ??= this.ports.clock.now();
  }

  /** How long the oldest word on how far a row is has waited; null where there is none. */
  get progressAgeMs(): number | null {
    return this.progressSince === null ? null : this.ports.clock.now() - this.progressSince;
  }

  get size(): number {
    return this.waiting.size;
  }

  /** How long the oldest outcome has waited. */
  get ageMs(): number {
    return this.oldestAt === null ? 0 : this.ports.clock.now() - this.oldestAt;
  }

  /**
   * One exchange; when no answer comes, once more with the same claim, so that what a lost answer did is neither lost nor done
   * again. Outcomes that it does not bring, since one before it took too long, are kept. Throws a `TickStoreError`; all outcomes are kept
   * then.
   */
  async exchange(
    call: Pick<ExchangeRequest, 'want' | 'wantLooks' | 'close' | 'report'>,
  ): Promise<ExchangeReply & { claimId: string }> {
    const claimId = this.ports.newId();
    const settlements = [...this.waiting.values()];
    const notes = this.breaker.takeNotes();
    const releaseClaims = [...this.unansweredClaims];
    const looks = [...this.findings.values()];
    const progress = [...this.progress.values()];
    this.progress.clear();
    this.progressSince = null;
    this.findings.clear();
    this.waiting.clear();
    this.oldestAt = null;
    this.requestedAt = this.ports.clock.now();
    const request = {
      ...call,
      tick: this.tick,
      seq: ++this.seq,
      claimId,
      settlements,
      providers: notes,
      releaseClaims,
      looks,
      progress,
    };
    try {
      const { reply, sent } = await this.sendTwice(request);
      this.unansweredClaims.splice(0, releaseClaims.length);
      this.count(sent.settlements, reply);
      this.keep(settlements.slice(sent.settlements.length), []);
      for (const look of looks.slice(sent.looks.length)) this.findings.set(look.id, look);
      Object.assign(this.counts, reply.totals);
      this.breaker.setProbing(reply.probing);
      return { ...reply, claimId };
    } catch (error) {
      this.keep(settlements, notes);
      for (const look of looks) this.findings.set(look.id, look);
      if (call.want !== 0) this.unansweredClaims.push(claimId);
      throw error;
    }
  }

  /**
   * Settles what is left and closes the tick, again and again while time is left. Throws a `TickStoreError` when it could not; what
   * was not written is logged then, and its rows are swept after their lease.
   */
  async finish(report: () => object): Promise<ExchangeReply> {
    for (;;) {
      try {
        const reply = await this.exchange({ want: 0, wantLooks: 0, close: 'yes', report: report() });
        if (reply.closed) return reply;
      } catch (error) {
        const { kind } = error as TickStoreError;
        const canRetry =
          kind === 'unavailable' || (kind === 'refused' && this.waiting.size + this.findings.size > 0);
        if (!canRetry || !this.timeFor(exchangeMs + retryMs)) {
          for (const settlement of this.waiting.values())
            this.logUnwritten(settlement, error as TickStoreError);
          throw error;
        }
        if (kind === 'refused') await this.isolate();
        else await sleep(this.ports.clock, retryMs);
      }
    }
  }

  /**
   * Writes what the database refused in one piece: without a claim, then outcome by outcome, so that one that cannot be written
   * does not take the others with it. What is refused on its own is logged and given up. Never throws.
   */
  async isolate(): Promise<void> {
    if ((await this.attempt()) !== 'refused') return;
    if (this.findings.size > 0) {
      // Nothing is lost with these: the provider is asked again.
      this.ports.log.error(
        { ids: [...this.findings.keys()], reason: this.lastError?.message },
        'findings could not be written',
      );
      this.findings.clear();
      if ((await this.attempt()) !== 'refused') return;
    }
    const settlements = [...this.waiting.values()];
    this.waiting.clear();
    for (const [index, settlement] of settlements.entries()) {
      this.waiting.set(keyOf(settlement), settlement);
      let written = await this.attempt();
      if (written === 'refused' && settlement.result) {
        // What it says beside the outcome may be what cannot be kept: too deep, or nothing that its column takes.
        this.ports.log.error(
          { ...settlement, queue: this.tick.queue, reason: this.lastError?.message },
          'a result could not be written, and was left out',
        );
        this.waiting.set(keyOf(settlement), { ...settlement, result: undefined });
        written = await this.attempt();
      }
      if (written === 'refused') {
        this.waiting.delete(keyOf(settlement));
        this.logUnwritten(settlement, this.lastError);
      } else if (written !== 'written') return this.keep(settlements.slice(index), []);
    }
  }

  /** One exchange without a claim; what came of it. Never throws. */
  async attempt(
    call: Pick<ExchangeRequest, 'close' | 'report'> = { close: 'no', report: null },
  ): Promise<'written' | TickStoreError['kind']> {
    try {
      await this.exchange({ want: 0, wantLooks: 0, ...call });
      return 'written';
    } catch (error) {
      this.lastError = error as TickStoreError;
      return this.lastError.kind;
    }
  }

  /** What came in too late for the tick's last exchange. */
  async settleLate(): Promise<void> {
    while (this.waiting.size > 0 && (await this.attempt()) === 'written');
    for (const settlement of this.waiting.values()) this.logUnwritten(settlement, this.lastError);
  }

  private logUnwritten(settlement: Settlement, error: TickStoreError | null): void {
    this.ports.log.error(
      { ...settlement, queue: this.tick.queue, reason: error?.message },
      'an outcome could not be written; its row stays running until its lease ends',
    );
  }

  /** Answers with what was sent of the request. */
  private async sendTwice(
    request: ExchangeRequest,
  ): Promise<{ reply: ExchangeReply; sent: ExchangeRequest }> {
    for (let attempt = 1; ; attempt++) {
      // Whoever is past the limit and still there was suspended: nobody counts any more, and what it did is to be known.
      const wasSuspended = attempt === 1 && this.ports.clock.now() > this.budget.limitAt;
      if (!wasSuspended && !this.timeFor(exchangeMs))
        throw new TickStoreError('unavailable', 'the time is over', this.counts);
      const sent = this.lighten(request);
      const sentAt = this.ports.clock.now();
      try {
        this.exchanges++;
        const reply = await this.ports.store.exchange(sent);
        if (this.most !== null) this.most = Math.min(2 * this.most, this.cap);
        return { reply, sent };
      } catch (error) {
        const kind = storeErrorKind(error);
        const { code } = error as { code?: unknown };
        const message = error instanceof Error ? error.message : String(error);
        this.ports.log.warn({ tick: this.tick.id, attempt, kind, reason: message }, 'an exchange failed');
        if (code === '57014' || (kind === 'unavailable' && this.ports.clock.now() - sentAt >= statementMs)) {
          const size = sent.settlements.length || sent.looks.length || sent.want || 0;
          this.most = Math.max(1, Math.ceil(size / 10));
          if (size > 0) this.cap = Math.max(1, Math.floor(size / 2));
        }
        if (attempt === 2 || kind !== 'unavailable') {
          throw new TickStoreError(kind, message, this.counts, typeof code === 'string' ? code : null);
        }
        await sleep(this.ports.clock, pauseMs);
      }
    }
  }

  /** After a call that took too long: outcomes first, then findings, then rows and looks, and of each only so many. */
  private lighten(request: ExchangeRequest): ExchangeRequest {
    const { most } = this;
    if (most === null) return request;
    const settlements = request.settlements.slice(0, most);
    const looks = settlements.length > 0 ? [] : request.looks.slice(0, most);
    const light = { ...request, settlements, looks, callMs: 0 };
    if (settlements.length + looks.length === 0)
      return {
        ...light,
        want: Math.min(request.want ?? most, most),
        wantLooks: Math.min(request.wantLooks, most),
      };
    const isAll = settlements.length === request.settlements.length && looks.length === request.looks.length;
    return { ...light, want: 0, wantLooks: 0, close: isAll && request.close === 'yes' ? 'yes' : 'no' };
  }

  private count(settlements: Settlement[], reply: ExchangeReply): void {
    const exceptions = new Map(reply.exceptions.map((exception) => [keyOf(exception), exception]));
    for (const settlement of settlements) {
      const exception = exceptions.get(keyOf(settlement));
      if (exception?.verdict === 'lost') {
        // A row that was not started may well be somebody else's by now.
        if (settlement.outcome === 'release') this.counts.released++;
        else this.counts.lost++;
        continue;
      }
      const outcome = exception?.outcome ?? settlement.outcome;
      if (outcome === 'retry') this.counts.retried++;
      else if (outcome === 'release') this.counts.released++;
      else this.counts[outcome]++;
    }
    this.counts.swept += reply.swept;
    this.counts.claimed += reply.rows.length;
  }

  /** A result that JSON cannot carry must not keep the outcome, and all others with it, from being written. */
  private transportable({ id, result }: Pick<Settlement, 'id' | 'result'>): Settlement['result'] {
    try {
      return (
        result &&
        JSON.parse(JSON.stringify(result, (_key, value) => (typeof value === 'bigint' ? `${value}` : value)))
      );
    } catch (error) {
      this.ports.log.error(
        { id, queue: this.tick.queue, reason: (error as Error).message },
        'a result is no JSON, and was left out',
      );
      return undefined;
    }
  }

  private keep(settlements: Settlement[], notes: ProviderNote[]): void {
    for (const settlement of settlements) {
      // A late word that came in while the call was under way is the newer one.
      if (!this.waiting.has(keyOf(settlement))) this.add(settlement);
    }
    this.breaker.giveBack(notes);
  }

  /** Whether what takes `ms` ends in time for the answer, on a platform that began to count before our first line. */
  private timeFor(ms: number): boolean {
    return this.ports.clock.now() + ms <= this.budget.limitAt - coldStartMs - answerMs;
  }
}

const keyOf = ({ id, claimId }: Pick<Settlement, 'id' | 'claimId'>): string => `${claimId} ${id}`;

function storeErrorKind(error: unknown): TickStoreError['kind'] {
  const kind = (error as { kind?: unknown } | null)?.kind;
  return kind === 'refused' || kind === 'misconfigured' ? kind : 'unavailable';
}
