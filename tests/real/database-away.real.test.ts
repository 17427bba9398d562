import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { StoreError } from '../../lib/engine/ports/store-error.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import type { GatewayFault } from '../stack/rest-gateway.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { tickBench } from '../support/tick-bench.ts';
import { stackTick, type TickSettings } from './tick-process.ts';

/** How much later the database is told that it is: longer than a lease and than a tick's limit. */
const leaseMs = 120_000;

let stack: Stack;
let settings: TickSettings;
let bench: ReturnType<typeof tickBench>;
/** The bodies of the performed rows, in the order in which they ended. */
let performed: string[];

beforeAll(async () => {
  stack = await startStack();
  settings = { supabaseUrl: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey };
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  await stack.sql(
    'truncate punctual.ticks, punctual.dm_queue, punctual.posts, punctual.pace, punctual.accounts restart identity cascade',
  );
  await stack.sql(`update punctual.queues set timeout_seconds = 15, batch_limit = 30, concurrency = 5`);
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  bench = tickBench({ ...stack, rpc, reset: async () => {}, close: stack.stop }, new Date().toISOString());
  performed = [];
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A queue whose rows take about `ms` each. `onEnd` gets the number of rows performed so far. */
const queueOf = (ms: number, onEnd: (count: number) => void = () => {}, timeoutMs = 15_000) =>
  bench.queue(
    async (row) => {
      await sleep(ms / 2 + Math.random() * ms);
      performed.push(row.body);
      onEnd(performed.length);
      return done();
    },
    { timeoutMs },
  );

/** Returns the error that a tick throws, and after how many milliseconds. */
async function failureOf(ticking: Promise<TickReport>): Promise<{ error: StoreError; ms: number }> {
  const began = performance.now();
  const error = await ticking.then(
    (report) => expect.fail(`the tick did not fail: ${JSON.stringify(report)}`),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(StoreError);
  return { error: error as StoreError, ms: performance.now() - began };
}

const bodiesOf = async (status: string): Promise<string[]> =>
  (await stack.sql('select body from punctual.dm_queue where status = $1 order by id', [status])).map(
    (row) => row.body,
  );
const lastTick = async () =>
  (await stack.sql('select * from punctual.ticks order by started_at desc limit 1'))[0];

describe('a database that dies in mid-tick', () => {
  it('and stays away makes the tick end with an error before its limit; the next tick runs cleanly, and uncertain rows are unknown', async () => {
    await stack.sql('update punctual.queues set timeout_seconds = 2');
    await bench.addDms(30);
    let died: Promise<void> | null = null;
    const onEnd = (count: number) => {
      if (count === 12) died = stack.killPostgres();
    };
    const ticking = stackTick(queueOf(150, onEnd, 2_000), null, { ...settings, limitMs: 20_000 });
    const { error, ms } = await failureOf(ticking);
    await died;
    console.log(
      `ended after ${Math.round(ms)} of 20000 ms: ${error.message}; ${JSON.stringify(error.counts)}`,
    );
    expect(ms).toBeLessThan(20_000);
    expect(error).toMatchObject({ kind: 'unavailable', message: expect.stringMatching(/\w/) });
    const before = [...performed];
    expect(before.length).toBeLessThan(30);

    await stack.startPostgres();
    const sent = await bodiesOf('sent');
    const running = await bodiesOf('sending');
    // Every performed row is settled or still running, and at most the five rows that ran at once are uncertain. The database may have
    // settled more than the tick knows, because a response was lost.
    expect([...sent, ...running]).toEqual(expect.arrayContaining(before));
    expect(before).toEqual(expect.arrayContaining(sent));
    expect(error.counts?.done).toBeLessThanOrEqual(sent.length);
    expect(running.length).toBeGreaterThan(0);
    expect(running.length).toBeLessThanOrEqual(5);

    const next = await stackTick(queueOf(20), null, { ...settings, aheadMs: leaseMs });
    const left = 30 - sent.length - running.length;
    expect(next).toMatchObject({
      outcome: 'ran',
      backlogDue: 0,
      counts: { done: left, swept: running.length },
    });
    expect(await bodiesOf('unknown')).toEqual(running);
    expect(await bench.states()).toEqual({ sent: sent.length + left, unknown: running.length });
    expect(new Set([...performed, ...running]).size).toBe(30);
    expect(new Set(performed).size).toBe(performed.length);
    expect(await stack.sql('select outcome from punctual.ticks order by started_at')).toEqual([
      { outcome: 'died' },
      { outcome: 'ran' },
    ]);
  });

  it('and returns within the tick lets the tick settle every performed row and release the others', async () => {
    await bench.addDms(30);
    let returned: Promise<void> | null = null;
    const ticking = stackTick(
      queueOf(150, (count) => {
        if (count === 12)
          returned = stack.killPostgres().then(() => stack.startPostgres({ reconnected: false }));
      }),
      null,
      settings,
    );
    const report = await ticking.catch((thrown: unknown) => {
      expect(thrown).toMatchObject({ name: 'StoreError', kind: 'unavailable' });
      return thrown as StoreError;
    });
    await returned;
    expect(report.counts).toMatchObject({ done: performed.length, unknown: 0, lost: 0 });
    expect(await bodiesOf('sent')).toHaveLength(performed.length);
    expect((await bodiesOf('sent')).sort()).toEqual([...performed].sort());
    expect(await bodiesOf('sending')).toEqual([]);
    expect(
      await stack.sql(`select distinct attempts from punctual.dm_queue where status = 'pending'`),
    ).toEqual(performed.length < 30 ? [{ attempts: 0 }] : []);
    expect(await lastTick()).toMatchObject({ outcome: 'ran', done: performed.length });

    // The first tick is closed, so the next one is admitted at once.
    if (performed.length < 30) await stackTick(queueOf(20), null, settings);
    expect(await bench.states()).toEqual({ sent: 30 });
    expect(new Set(performed).size).toBe(30);
    expect(performed).toHaveLength(30);
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
      middle: p_outcomes.done.length > 0 && !p_close,
      closing: performed.length === 12 && p_close,
    }[place];
    if (failed > 0 ? failed < times : isHere) {
      failed++;
      stack.gateway.failNext(fault);
    }
    return fetch(input, init);
  };
}

describe('an exchange that fails once', () => {
  it.each<[GatewayFault, Place]>([
    ['answer lost', 'first'],
    ['answer lost', 'middle'],
    ['answer lost', 'closing'],
    ['not sent', 'first'],
    ['not sent', 'middle'],
    ['not sent', 'closing'],
    ['hangs', 'middle'],
  ])(
    '(%s, the %s one) is repeated, and no row is lost, claimed twice or performed twice',
    async (fault, place) => {
      await bench.addDms(12);
      stack.gateway.resetCalls();
      const report = await stackTick(queueOf(60), null, settings, faultyFetch(place, fault, 1));
      expect(report).toMatchObject({
        outcome: 'ran',
        ended: 'drained',
        backlogDue: 0,
        exchanges: stack.gateway.calls().length,
        counts: { claimed: 12, done: 12, unknown: 0, released: 0, lost: 0 },
      });
      expect(performed).toHaveLength(12);
      expect(new Set(performed).size).toBe(12);
      expect(await bench.states()).toEqual({ sent: 12 });
      expect(await stack.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
      expect(await lastTick()).toMatchObject({ outcome: 'ran', claimed: 12, done: 12, lost: 0, released: 0 });
      expect(await stack.sql('select count(*)::integer from punctual.ticks')).toEqual([{ count: 1 }]);
    },
  );
});

describe('an exchange that fails twice', () => {
  it('as the first makes the tick end with an error and release the rows whose claim it never saw', async () => {
    await bench.addDms(12);
    const { error } = await failureOf(
      stackTick(queueOf(60), null, settings, faultyFetch('first', 'answer lost', 2)),
    );
    expect(error).toMatchObject({ kind: 'unavailable', counts: { claimed: 5, released: 5, done: 0 } });
    expect(performed).toEqual([]);
    expect(await bench.states()).toEqual({ pending: 12 });
    expect(await stack.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 0 }]);
    expect(await lastTick()).toMatchObject({ claimed: 5, released: 5, closed_at: expect.any(Date) });

    await stackTick(queueOf(20), null, settings);
    expect(await bench.states()).toEqual({ sent: 12 });
    expect(performed).toHaveLength(12);
  });

  it('in the middle lets running rows end and be settled, and the rows whose claim the tick never saw are released', async () => {
    await bench.addDms(30);
    const { error } = await failureOf(
      stackTick(queueOf(60), null, settings, faultyFetch('middle', 'answer lost', 2)),
    );
    expect(error).toMatchObject({
      kind: 'unavailable',
      counts: { done: performed.length, unknown: 0, lost: 0 },
    });
    expect(performed.length).toBeGreaterThan(0);
    expect((await bodiesOf('sent')).sort()).toEqual([...performed].sort());
    expect(await bench.states()).toEqual({ sent: performed.length, pending: 30 - performed.length });
    expect(await lastTick()).toMatchObject({
      outcome: 'ran',
      done: performed.length,
      closed_at: expect.any(Date),
    });

    await stackTick(queueOf(20), null, settings);
    expect(await bench.states()).toEqual({ sent: 30 });
    expect(new Set(performed).size).toBe(30);
    expect(performed).toHaveLength(30);
  });
});

describe('a database that accepts calls and never responds again', () => {
  it('makes the tick end before its limit, and the next one runs cleanly', async () => {
    await stack.sql('update punctual.queues set timeout_seconds = 2');
    await bench.addDms(12);
    const { error, ms } = await failureOf(
      stackTick(
        queueOf(60, undefined, 2_000),
        null,
        { ...settings, limitMs: 20_000 },
        faultyFetch('middle', 'hangs', Number.POSITIVE_INFINITY),
      ),
    );
    console.log(`ended after ${Math.round(ms)} of 20000 ms: ${error.message}`);
    expect(ms).toBeLessThan(20_000);
    expect(error).toMatchObject({ kind: 'unavailable', counts: { claimed: 5, done: 0 } });
    const uncertain = performed.length;
    expect(await bench.states()).toEqual({ sending: 5, pending: 7 });

    await stackTick(queueOf(20), null, { ...settings, aheadMs: leaseMs });
    expect(await bench.states()).toEqual({ sent: 7, unknown: uncertain });
    expect(new Set(performed).size).toBe(12);
    expect(performed).toHaveLength(12);
  });
});
