import { type Rpc, StoreError } from '../../lib/store/rpc';
import type { VirtualClock } from '../support/virtual-clock';
import type { SimulationDatabase } from './database';
import type { Fate, Faults } from './faults';
import type { RandomStream } from './random';
import type { SimulatedProcess } from './simulated-process';
import { second } from './world';

/** As the transports: an answer that is not here by then is not coming. */
const timeoutMs = 5 * second;
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
}

interface Exchange {
  p_tick: { queue: string };
  p_outcomes: {
    done: { claim_id: string; ids: string[] }[];
    records: {
      id: string;
      claim_id: string;
      outcome: string;
      delay_seconds?: number;
      limit_scope?: string;
    }[];
  };
}

/** The way from processes to the database: calls take time, get lost, and are carried out late or twice. */
export class SimulatedStore {
  answersLost = 0;
  readonly brought: BroughtOutcome[] = [];
  /** Which calls were retention's. */
  readonly prunes = new Set<number>();
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
  async call(fn: string, args: Record<string, unknown>, ...expects: string[]): Promise<unknown> {
    const at = Math.floor(this.clock.now());
    try {
      const answering = this.database.call(fn, args, at);
      const { calls } = this.database;
      const answer = await this.clock.busy(answering);
      if (fn === 'prune') this.prunes.add(calls);
      if (fn === 'exchange') this.note(at, calls, args as unknown as Exchange, answer);
      return answer;
    } catch (error) {
      if (expects.includes((error as StoreError).code ?? '')) return null;
      this.onError(fn, error as Error);
      throw error;
    }
  }

  private note(
    at: number,
    call: number,
    { p_tick: { queue }, p_outcomes: { done, records } }: Exchange,
    answer: unknown,
  ): void {
    const { rows, settled } = answer as {
      rows: { id: string }[];
      settled: { exceptions: { id: string; verdict: string; outcome: string }[] };
    };
    const { exceptions } = settled;
    const ids = rows.map(({ id }) => id);
    for (const hear of this.claimListeners) hear(queue, ids);
    const all = [
      ...done.flatMap(({ claim_id, ids }) => ids.map((id) => ({ id, claim_id, outcome: 'done' }))),
      ...records,
    ] as Exchange['p_outcomes']['records'];
    for (const { id, claim_id, outcome, delay_seconds, limit_scope } of all) {
      const exception = exceptions.find((other) => other.id === id);
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
      });
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
  sql(text: string, params: unknown[] = []): Promise<any> {
    return this.clock.busy(this.database.sql(text, params, this.clock.now()));
  }

  rpcOf(process: SimulatedProcess, fate: Fate): Rpc {
    return (fn, args) =>
      new Promise((resolve, reject) => {
        fate.step();
        if (process.isOver) return;
        const fault = this.faults.ofDatabaseCall(bringsBack(args));
        const settle = once();
        const fail = (kind: 'unavailable' | 'refused', message: string) =>
          settle(() => reject(new StoreError(kind, message)));
        process.clock.timer(timeoutMs, () => fail('unavailable', 'the Data API did not answer'));

        const answer = (ms: number, fn: () => void) => this.clock.timer(ms, () => process.hear('answer', fn));
        const carryOut = async (hears: boolean) => {
          const outcome = await this.call(fn, args).then(
            (value) => () => resolve(value),
            (error) => () => reject(error),
          );
          fate.step();
          if (hears) answer(this.latencyMs(), () => settle(outcome));
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
