import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import type { SimulationDatabase } from './database.ts';
import type { Fate, Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { newerReply, olderRequest, type VersionSkew } from './version-skew.ts';
import { second } from './world.ts';

/** As the transports: an answer that is not here by then is not coming. */
const timeoutMs = 5 * second;
/** Of the functions that ticks and maintenance call, as their migrations set it. */
const statementLimitMs: Record<string, number> = {
  exchange: 4 * second,
  take_unknown: 4 * second,
  settle_findings: 4 * second,
  prune: 4 * second,
  roll_up: 20 * second,
};
/** So many ticks in a row may come to nothing for want of time, where the next claims. */
const mostStalledTicks = 6;
/** How long a request may lie somewhere on its way, in seconds. */
const longestDelay = 1_200;

/** An outcome that an exchange brought, and what the database made of it. */
export interface BroughtOutcome {
  at: number;
  /** As the recorder counts them. */
  call: number;
  queue: string;
  rowId: string;
  claimId: string;
  outcome: string;
  verdict: string;
  delaySeconds: number | null;
  limitScope: string | null;
  /** What the provider said of how long it limits the account. */
  accountPauseSeconds: number | null;
  /** Whom the provider refused; null where it refused nothing. */
  refused: 'row' | 'account' | 'provider' | null;
}

interface Exchange {
  p_tick: { id: string; queue: string; partition: string };
  p_want: number | null;
  p_outcomes: {
    done: { claim_id: string; ids: string[] }[];
    records: {
      id: string;
      claim_id: string;
      outcome: string;
      delay_seconds?: number;
      limit_scope?: string;
      account_pause_seconds?: number;
      refused?: 'row' | 'account' | 'provider';
    }[];
  };
}

/** The way from processes to the database: calls take time, get lost, and are carried out late or twice. */
export class SimulatedStore {
  answersLost = 0;
  readonly brought: BroughtOutcome[] = [];
  /** Which calls were retention's. */
  readonly prunes = new Set<number>();
  /** Of each partition the ticks of which every exchange was cancelled, since one of them could claim. */
  private readonly stalled = new Map<string, Set<string>>();
  /** A partition that so many ticks could not work on. */
  onStall: (details: string) => void = () => {};
  /** What the database answers with an error: nothing here gives it reason to. */
  onError: (fn: string, error: Error) => void = () => {};

  private readonly claimListeners: ((queue: string, ids: string[]) => void)[] = [];

  constructor(
    readonly database: SimulationDatabase,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  /** Calls `hear` with the rows that an exchange has just claimed. */
  hearClaims(hear: (queue: string, ids: string[]) => void): void {
    this.claimListeners.push(hear);
  }

  /** Carries a call out, now. `expects`: errors' codes that are an answer like any other, namely null. */
  call(fn: string, args: Record<string, unknown>, ...expects: string[]): Promise<unknown> {
    return this.carryOut(fn, args, null, expects);
  }

  /** `row`: how long reading or writing one row takes; the call is cancelled where that comes to more than its limit. */
  private async carryOut(
    fn: string,
    args: Record<string, unknown>,
    row: { ms: number; cost: { ms: number } } | null,
    expects: string[] = [],
  ): Promise<unknown> {
    const at = Math.floor(this.clock.now());
    const limitMs = statementLimitMs[fn];
    const limit =
      // Between the slow spells nothing comes near the limit, and counting what a call has touched takes longer than most calls.
      row === null || limitMs === undefined || row.ms < 0.1
        ? undefined
        : {
            rowMs: row.ms,
            admits: (touchedRows: number) => {
              row.cost.ms = Math.min(limitMs, touchedRows * row.ms);
              if (row.cost.ms > second) this.faults.count('statement: slow');
              return row.cost.ms < limitMs;
            },
          };
    try {
      const answering = this.database.call(fn, args, at, limit);
      const { calls } = this.database;
      const answer = await this.clock.busy(answering);
      if (fn === 'prune') this.prunes.add(calls);
      if (fn === 'exchange') this.note(at, calls, args as unknown as Exchange, answer);
      return answer;
    } catch (error) {
      const { code } = error as StoreError;
      if (expects.includes(code ?? '')) return null;
      if (code === '57014') {
        this.faults.count('statement: cancelled');
        if (fn === 'exchange') this.noteCancelled(args as unknown as Exchange);
        throw error;
      }
      this.onError(fn, error as Error);
      throw error;
    }
  }

  private note(
    at: number,
    call: number,
    { p_tick: { queue, partition }, p_want, p_outcomes: { done, records } }: Exchange,
    answer: unknown,
  ): void {
    const { rows, settled } = answer as {
      rows: { id: string }[];
      settled: { exceptions: { id: string; claim_id: string; verdict: string; outcome: string }[] };
    };
    const { exceptions } = settled;
    if (p_want !== 0) this.stalled.delete(`${queue}/${partition}`);
    const ids = rows.map(({ id }) => id);
    for (const hear of this.claimListeners) hear(queue, ids);
    const all = [
      ...done.flatMap(({ claim_id, ids }) => ids.map((id) => ({ id, claim_id, outcome: 'done' }))),
      ...records,
    ] as Exchange['p_outcomes']['records'];
    for (const { id, claim_id, outcome, delay_seconds, limit_scope, account_pause_seconds, refused } of all) {
      const exception = exceptions.find((other) => other.id === id && other.claim_id === claim_id);
      this.brought.push({
        at,
        call,
        queue,
        rowId: id,
        claimId: claim_id,
        outcome: exception?.outcome ?? outcome,
        verdict: exception?.verdict ?? 'applied',
        delaySeconds: delay_seconds ?? null,
        limitScope: limit_scope ?? null,
        accountPauseSeconds: account_pause_seconds ?? null,
        refused: refused ?? null,
      });
    }
  }

  private noteCancelled({ p_tick: { id, queue, partition } }: Exchange): void {
    const name = `${queue}/${partition}`;
    const ticks = (this.stalled.get(name) ?? new Set()).add(id);
    this.stalled.set(name, ticks);
    if (ticks.size === mostStalledTicks + 1)
      this.onStall(`${name}: every exchange of ${ticks.size} ticks in a row was cancelled`);
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
  sql(text: string, params: unknown[] = []): Promise<any> {
    return this.clock.busy(this.database.sql(text, params, this.clock.now()));
  }

  /** `skew`: how the process and the database differ in their versions. */
  rpcOf(process: SimulatedProcess, fate: Fate, skew: VersionSkew = 'none'): Rpc {
    return (fn, said) =>
      new Promise((resolve, reject) => {
        const isSkewed = fn === 'exchange' && skew !== 'none';
        if (isSkewed) this.faults.count(`version: ${skew}`);
        const args = isSkewed && skew === 'older code' ? olderRequest(said) : said;
        fate.step();
        if (process.isOver) return;
        const fault = this.faults.ofDatabaseCall(bringsBack(args));
        const settle = once();
        const fail = (kind: 'unavailable' | 'refused', message: string) =>
          settle(() => reject(new StoreError(kind, message)));
        process.clock.timer(timeoutMs, () => fail('unavailable', 'the Data API did not answer'));

        const answer = (ms: number, fn: () => void) => this.clock.timer(ms, () => process.hear('answer', fn));
        const carryOut = async (hears: boolean) => {
          const cost = { ms: 0 };
          const outcome = await this.carryOut(fn, args, { ms: this.faults.msPerRow(), cost }).then(
            (value) => () => resolve(isSkewed && skew === 'newer database' ? newerReply(value) : value),
            (error) => () => reject(error),
          );
          fate.step();
          if (hears) answer(this.latencyMs() + cost.ms, () => settle(outcome));
        };
        const send = (ms: number, hears: boolean) => this.clock.timer(ms, () => void carryOut(hears));

        switch (fault) {
          case 'lost':
          case 'away, hanging':
            return;
          case 'away':
            answer(3, () => fail('unavailable', 'the Data API answered 503'));
            return;
          case 'refused':
            answer(20, () => fail('refused', 'refused by the simulation'));
            return;
          case 'answer lost':
            this.answersLost++;
            send(this.latencyMs(), false);
            return;
          case 'carried out late':
            this.answersLost++;
            send(this.random.magnitude(5, longestDelay) * second, true);
            return;
          case 'carried out twice':
            send(this.latencyMs(), true);
            send(this.random.magnitude(0.1, longestDelay) * second, false);
            return;
          case 'slow':
            send(this.random.between(0.2, 4.5) * second, true);
            return;
          default:
            send(this.latencyMs(), true);
        }
      });
  }

  private latencyMs(): number {
    return this.random.magnitude(1, 40);
  }
}

/** Whether it brings rows back to be tried again, or to come again. */
function bringsBack(args: Record<string, unknown>): boolean {
  const records = (args as Partial<Exchange>).p_outcomes?.records ?? [];
  return records.some(({ outcome }) => ['retry', 'release', 'again'].includes(outcome));
}

/** Of several endings only the first counts. */
function once(): (fn: () => void) => void {
  let over = false;
  return (fn) => {
    if (over) return;
    over = true;
    fn();
  };
}
