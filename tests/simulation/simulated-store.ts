import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { SimulationDatabase } from './database.ts';
import type { Fate, Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { newerResponse, olderRequest, type VersionSkew } from './version-skew.ts';
import { second } from './world.ts';

/** The transports' own timeout. */
const timeoutMs = 5 * second;
/** Statement limits that the migrations set on functions of ticks and maintenance. */
const statementLimitMs: Record<string, number> = {
  exchange: 4 * second,
  take_unknown: 4 * second,
  settle_findings: 4 * second,
  prune: 4 * second,
  roll_up: 20 * second,
};
/** At most this many ticks in a row may have all their exchanges cancelled. */
const maxStalledTicks = 6;
/** The longest that a request may be under way, in seconds. */
const maxDelaySeconds = 1_200;

/** An outcome that an exchange brought, and the database's verdict. */
export interface BroughtOutcome {
  at: number;
  /** The call's number in the recorder. */
  call: number;
  queue: string;
  rowId: string;
  claimId: string;
  outcome: string;
  verdict: string;
  delaySeconds: number | null;
  limitScope: string | null;
  /** How long the provider limits the account; null if it did not say. */
  accountPauseSeconds: number | null;
  /** The scope of the provider's refusal; null if there was none. */
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

/** The network between processes and the database: calls take time, get lost, and run late or twice. */
export class SimulatedStore {
  responsesLost = 0;
  readonly brought: BroughtOutcome[] = [];
  /** The numbers of the calls that pruned. */
  readonly prunes = new Set<number>();
  /** The ticks of each partition whose exchanges were cancelled since an exchange could last claim. */
  private readonly stalled = new Map<string, Set<string>>();
  /** Called when too many ticks in a row could not claim for a partition. */
  onStall: (details: string) => void = () => {};
  /** Called for any database error that is not expected and not a cancellation. */
  onError: (fn: string, error: Error) => void = () => {};

  private readonly claimListeners: ((queue: string, ids: string[]) => void)[] = [];

  constructor(
    readonly database: SimulationDatabase,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  /** Registers a listener for the rows that each exchange claims. */
  onClaim(listener: (queue: string, ids: string[]) => void): void {
    this.claimListeners.push(listener);
  }

  /** Runs a call now, without faults. `expects`: error codes for which it returns null. */
  call(fn: string, args: Record<string, unknown>, ...expects: string[]): Promise<unknown> {
    return this.run(fn, args, null, expects);
  }

  /** `row`: the milliseconds that one row takes, and the call's total. A call over its statement limit is cancelled. */
  private async run(
    fn: string,
    args: Record<string, unknown>,
    row: { ms: number; cost: { ms: number } } | null,
    expects: string[] = [],
  ): Promise<unknown> {
    const at = Math.floor(this.clock.now());
    const limitMs = statementLimitMs[fn];
    const limit =
      // Outside slow spells no call comes near its limit, and counting its touched rows would take longer than most calls.
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
      const calling = this.database.call(fn, args, at, limit);
      const { calls } = this.database;
      const response = await this.clock.busy(calling);
      if (fn === 'prune') this.prunes.add(calls);
      if (fn === 'exchange') this.note(at, calls, args as unknown as Exchange, response);
      return response;
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
    response: unknown,
  ): void {
    const { rows, settled } = response as {
      rows: { id: string }[];
      settled: { exceptions: { id: string; claim_id: string; verdict: string; outcome: string }[] };
    };
    const { exceptions } = settled;
    if (p_want !== 0) this.stalled.delete(`${queue}/${partition}`);
    const ids = rows.map(({ id }) => id);
    for (const listener of this.claimListeners) listener(queue, ids);
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
    if (ticks.size === maxStalledTicks + 1)
      this.onStall(`${name}: every exchange of ${ticks.size} ticks in a row was cancelled`);
  }

  // biome-ignore lint/suspicious/noExplicitAny: JSON of any shape
  sql(text: string, params: unknown[] = []): Promise<any> {
    return this.clock.busy(this.database.sql(text, params, this.clock.now()));
  }

  /** Returns the process's transport, with faults. `skew`: how the versions of the process and the database differ. */
  rpcOf(process: SimulatedProcess, fate: Fate, skew: VersionSkew = 'none'): Rpc {
    return (fn, ownArgs) =>
      new Promise((resolve, reject) => {
        const isSkewed = fn === 'exchange' && skew !== 'none';
        if (isSkewed) this.faults.count(`version: ${skew}`);
        const args = isSkewed && skew === 'older code' ? olderRequest(ownArgs) : ownArgs;
        fate.step();
        if (process.isOver) return;
        const fault = this.faults.ofDatabaseCall(makesPending(args));
        const settle = once();
        const fail = (kind: 'unavailable' | 'refused', message: string) =>
          settle(() => reject(new StoreError(kind, message)));
        process.clock.timer(timeoutMs, () => fail('unavailable', 'the Data API did not answer'));

        const respond = (ms: number, fn: () => void) =>
          this.clock.timer(ms, () => process.receive('response', fn));
        const run = async (hasResponse: boolean) => {
          const cost = { ms: 0 };
          const outcome = await this.run(fn, args, { ms: this.faults.msPerRow(), cost }).then(
            (value) => () => resolve(isSkewed && skew === 'newer database' ? newerResponse(value) : value),
            (error) => () => reject(error),
          );
          fate.step();
          if (hasResponse) respond(this.latencyMs() + cost.ms, () => settle(outcome));
        };
        const send = (ms: number, hasResponse: boolean) => this.clock.timer(ms, () => void run(hasResponse));

        switch (fault) {
          case 'lost':
          case 'away, hanging':
            return;
          case 'away':
            respond(3, () => fail('unavailable', 'the Data API answered 503'));
            return;
          case 'refused':
            respond(20, () => fail('refused', 'refused by the simulation'));
            return;
          case 'answer lost':
            this.responsesLost++;
            send(this.latencyMs(), false);
            return;
          case 'carried out late':
            this.responsesLost++;
            send(this.random.magnitude(5, maxDelaySeconds) * second, true);
            return;
          case 'carried out twice':
            send(this.latencyMs(), true);
            send(this.random.magnitude(0.1, maxDelaySeconds) * second, false);
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

/** Whether the call carries outcomes that make rows pending again. */
function makesPending(args: Record<string, unknown>): boolean {
  const records = (args as Partial<Exchange>).p_outcomes?.records ?? [];
  return records.some(({ outcome }) => ['retry', 'release', 'again'].includes(outcome));
}

/** Returns a function that runs only the first callback it gets. */
function once(): (fn: () => void) => void {
  let over = false;
  return (fn) => {
    if (over) return;
    over = true;
    fn();
  };
}
