import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import type { GatewayFault } from '../stack/rest-gateway.ts';
import { perTestStackBench, testStack } from './test-stack.ts';
import { stackTick, type TickSettings } from './tick-process.ts';

/** How much later the database is told that it is: longer than a lease and than a tick's limit. */
const leaseMs = 120_000;

const stack = testStack();
const bench = perTestStackBench(stack);
/** The bodies of the performed rows, in the order in which they ended. */
let performed: string[];
beforeEach(async () => {
  await stack.sql('update punctual.queues set timeout_seconds = 15, batch_limit = 30, concurrency = 5');
  performed = [];
});

interface TickOptions extends Partial<TickSettings> {
  /** About how long a row takes. */
  ms?: number;
  timeoutMs?: number;
  /** Gets the number of rows performed so far. */
  onEnd?: (count: number) => void;
  fetch?: typeof fetch;
}

function tick({ ms = 20, timeoutMs = 15_000, onEnd, fetch, ...settings }: TickOptions): Promise<TickReport> {
  const queue = bench.queue(
    async (row) => {
      await sleep(ms / 2 + Math.random() * ms);
      performed.push(row.body);
      onEnd?.(performed.length);
      return done();
    },
    { timeoutMs },
  );
  return stackTick(queue, null, { ...stack.settings, ...settings }, fetch);
}

/** Returns the error that a tick of at most 20 s throws before its limit. */
async function failureOf(options: TickOptions): Promise<StoreError> {
  const began = performance.now();
  const error = await tick({ ...options, limitMs: 20_000 }).then(
    (report) => expect.fail(`the tick did not fail: ${JSON.stringify(report)}`),
    (thrown: unknown) => thrown,
  );
  const ms = performance.now() - began;
  console.log(`ended after ${Math.round(ms)} of 20000 ms: ${error}`);
  expect(ms).toBeLessThan(20_000);
  expect(error).toBeInstanceOf(StoreError);
  expect(error).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/\w/) });
  return error as StoreError;
}

const bodiesOf = async (status: string): Promise<string[]> =>
  (await stack.sql('select body from punctual.dm_queue where status = $1 order by id', [status])).map(
    (row) => row.body,
  );
const ticks = () => stack.sql('select * from punctual.ticks order by started_at');

function expectEachOnce(count: number): void {
  expect(performed).toHaveLength(count);
  expect(new Set(performed).size).toBe(count);
}

describe('a database that dies in mid-tick', () => {
  it('and stays away makes the tick end with an error before its limit; the next tick runs cleanly, and uncertain rows are unknown', async () => {
    await stack.sql('update punctual.queues set timeout_seconds = 2');
    await bench.addDms(30);
    let died: Promise<void> | null = null;
    const onEnd = (count: number) => {
      if (count === 12) died = stack.killPostgres();
    };
    const error = await failureOf({ ms: 150, timeoutMs: 2_000, onEnd });
    await died;
    const before = [...performed];
    expect(before.length).toBeLessThan(30);

    await stack.startPostgres();
    const [sent, running] = [await bodiesOf('sent'), await bodiesOf('sending')];
    // Every performed row is settled or still running, and at most the five rows that ran at once are uncertain. The database may have
    // settled more than the tick knows, because a response was lost.
    expect([...sent, ...running]).toEqual(expect.arrayContaining(before));
    expect(before).toEqual(expect.arrayContaining(sent));
    expect(error.counts?.done).toBeLessThanOrEqual(sent.length);
    expect(running.length).toBeGreaterThan(0);
    // Those that ran, and at most as many that were claimed ahead.
    expect(running.length).toBeLessThanOrEqual(10);

    const left = 30 - sent.length - running.length;
    expect(await tick({ aheadMs: leaseMs })).toMatchObject({
      outcome: 'ran',
      backlogDue: 0,
      counts: { done: left, swept: running.length },
    });
    expect(await bodiesOf('unknown')).toEqual(running);
    expect(await bench.states()).toEqual({ sent: sent.length + left, unknown: running.length });
    expect(new Set([...performed, ...running]).size).toBe(30);
    expectEachOnce(performed.length);
    expect(await ticks()).toMatchObject([{ outcome: 'died' }, { outcome: 'ran' }]);
  });

  it('and returns within the tick lets the tick settle every performed row and release the others', async () => {
    await bench.addDms(30);
    let returned: Promise<void> | null = null;
    const onEnd = (count: number) => {
      if (count === 12)
        returned = stack.killPostgres().then(() => stack.startPostgres({ reconnected: false }));
    };
    const { counts } = await tick({ ms: 150, onEnd }).catch((thrown: unknown) => {
      expect(thrown).toMatchObject({ name: 'StoreError', kind: 'unavailable' });
      return thrown as StoreError;
    });
    await returned;
    expect(counts).toMatchObject({ done: performed.length, unknown: 0, lost: 0 });
    expect((await bodiesOf('sent')).sort()).toEqual([...performed].sort());
    expect(await bodiesOf('sending')).toEqual([]);
    expect(
      await stack.sql(`select from punctual.dm_queue where status = 'pending' and attempts > 0`),
    ).toEqual([]);
    expect(await ticks()).toMatchObject([{ outcome: 'ran', done: performed.length }]);

    // The first tick is closed, so the next one is admitted at once.
    if (performed.length < 30) await tick({});
    expect(await bench.states()).toEqual({ sent: 30 });
    expectEachOnce(30);
    // Makes PostgREST drop its broken connections, so that they do not disturb the next tests.
    await stack.startPostgres();
  });
});

type Place = 'first' | 'middle' | 'closing';

/** Applies the fault to `times` calls in a row, starting with the call at `place` of a tick over 12 rows. */
function faultyFetch(place: Place, fault: GatewayFault, times: number): typeof fetch {
  let calls = 0;
  let failed = 0;
  return (input, init) => {
    calls++;
    const { p_close, p_outcomes } = JSON.parse(String(init?.body));
    const isHere = {
      first: calls === 1,
      middle: p_outcomes.done.length + p_outcomes.records.length > 0 && !p_close,
      closing: performed.length === 12 && p_close,
    }[place];
    if (failed > 0 ? failed < times : isHere) {
      failed++;
      stack.gateway.failNext(fault);
    }
    return fetch(input, init);
  };
}

it.each<[GatewayFault, Place]>([
  ['answer lost', 'first'],
  ['answer lost', 'middle'],
  ['answer lost', 'closing'],
  ['not sent', 'first'],
  ['not sent', 'middle'],
  ['not sent', 'closing'],
  ['hangs', 'middle'],
])(
  'an exchange that fails once (%s, the %s one) is repeated, and no row is lost, claimed twice or performed twice',
  async (fault, place) => {
    await bench.addDms(12);
    stack.gateway.resetCalls();
    expect(await tick({ ms: 60, fetch: faultyFetch(place, fault, 1) })).toMatchObject({
      outcome: 'ran',
      ended: 'drained',
      backlogDue: 0,
      exchanges: stack.gateway.calls().length,
      counts: { claimed: 12, done: 12, unknown: 0, released: 0, lost: 0 },
    });
    expectEachOnce(12);
    expect(await bench.states()).toEqual({ sent: 12 });
    expect(await stack.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
    expect(await ticks()).toMatchObject([{ outcome: 'ran', claimed: 12, done: 12, lost: 0, released: 0 }]);
  },
);

it('a database that accepts calls and never responds again makes the tick end before its limit, and the next one runs cleanly', async () => {
  await stack.sql('update punctual.queues set timeout_seconds = 2');
  await bench.addDms(12);
  const fetch = faultyFetch('middle', 'hangs', Number.POSITIVE_INFINITY);
  const { counts } = await failureOf({ ms: 60, timeoutMs: 2_000, fetch });
  expect(counts).toMatchObject({ claimed: 5, done: 0 });
  const uncertain = performed.length;
  expect(await bench.states()).toEqual({ sending: 5, pending: 7 });

  await tick({ aheadMs: leaseMs });
  expect(await bench.states()).toEqual({ sent: 7, unknown: uncertain });
  expectEachOnce(12);
});
