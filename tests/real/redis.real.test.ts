import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { type DoorMode, type RedisRestDoor, startRedisRestDoor } from '../stack/redis-rest-door.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { tickBench } from '../support/tick-bench.ts';
import { stackTick, startTickProcess, type TickSettings } from './tick-process.ts';

const key = 'punctual:lock:dm_queue:main';

let stack: Stack;
let door: RedisRestDoor;
let sandbox: Sandbox;
let settings: TickSettings;
let bench: ReturnType<typeof tickBench>;

beforeAll(async () => {
  [stack, door, sandbox] = await Promise.all([
    startStack(),
    startRedisRestDoor(),
    startSandbox({ latencyMs: [3_000, 3_000] }),
  ]);
  settings = {
    supabaseUrl: stack.supabaseUrl,
    serviceRoleKey: stack.serviceRoleKey,
    redis: { url: door.url, token: door.token },
  };
});
afterAll(async () => {
  await sandbox?.close();
  await door?.stop();
  await stack?.stop();
});
beforeEach(async () => {
  await stack.sql(
    'truncate punctual.ticks, punctual.dm_queue, punctual.posts, punctual.pace, punctual.accounts restart identity cascade',
  );
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  bench = tickBench({ ...stack, rpc, reset: async () => {}, close: stack.stop }, new Date().toISOString());
  door.mode = 'ok';
  await door.redis('flushall');
  door.resetCommands();
  stack.gateway.resetCalls();
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const lifetimeMs = async () => Number(await door.redis('pttl', key));
const commands = () => door.commands().map(([name]) => name);

/** Runs a tick whose rows take 20 ms each. `onRow` runs once a row. */
const tickOnce = (onRow: () => unknown = () => {}): Promise<TickReport> =>
  stackTick(
    bench.queue(async () => {
      await sleep(20);
      await onRow();
      return done();
    }),
    null,
    settings,
  );

describe('the lock around a tick', () => {
  it('costs an idle tick exactly one Redis command and one database call', async () => {
    await bench.addDms(0, { accounts: 3 });
    expect(await tickOnce()).toMatchObject({ outcome: 'idle', lock: 'acquired', exchanges: 1 });
    expect(door.commands()).toEqual([['set', key, expect.any(String), 'nx', 'px', 5_000]]);
    expect(stack.gateway.calls()).toEqual(['rpc/exchange']);
    // An idle tick does not release the lock, which expires before the next minute.
    expect(await lifetimeMs()).toBeGreaterThan(0);
    expect(await lifetimeMs()).toBeLessThanOrEqual(5_000);
  });

  it('is extended to the tick’s limit when there is work, and released at its end', async () => {
    await bench.addDms(12);
    const lifetimes: number[] = [];
    const report = await tickOnce(async () => lifetimes.push(await lifetimeMs()));
    expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 12 } });
    expect(commands()).toEqual(['set', 'eval', 'eval']);
    expect(Math.max(...lifetimes)).toBeGreaterThan(55_000);
    expect(Math.max(...lifetimes)).toBeLessThanOrEqual(60_000);
    expect(await door.redis('exists', key)).toBe(0);
  });

  it('makes one of two ticks at once skip, and the ledger records it', async () => {
    await bench.addDms(12);
    let second: Promise<TickReport> | null = null;
    const first = await tickOnce(async () => {
      second ??= tickOnce();
      await second;
    });
    expect(first).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 12 } });
    expect(await second).toMatchObject({
      outcome: 'skipped',
      ended: null,
      lock: 'held',
      counts: { claimed: 0 },
    });
    expect(
      await stack.sql(
        `select outcome, admitted, claimed, report->>'lock' as lock from punctual.ticks order by started_at`,
      ),
    ).toEqual([
      { outcome: 'ran', admitted: true, claimed: 12, lock: 'acquired' },
      { outcome: 'skipped', admitted: false, claimed: 0, lock: 'held' },
    ]);
  });

  it('makes a tick skip even before the tick that holds the lock has reached the database', async () => {
    await bench.addDms(3);
    await door.redis('set', key, 'of a tick that is on its way', 'px', 5_000);
    expect(await tickOnce()).toMatchObject({ outcome: 'skipped', lock: 'held', exchanges: 1 });
    expect(commands()).toEqual(['set']);
    expect(await bench.states()).toEqual({ pending: 3 });
    expect(await stack.sql('select outcome, admitted from punctual.ticks')).toEqual([
      { outcome: 'skipped', admitted: false },
    ]);
    expect(await door.redis('get', key)).toBe('of a tick that is on its way');

    await door.redis('del', key);
    expect(await tickOnce()).toMatchObject({ outcome: 'ran', counts: { done: 3 } });
  });
});

describe('unavailable Redis', () => {
  it.each<DoorMode>(['down', 'hangs', 'answer lost', 'fails'])(
    '(%s) lets the tick run without the lock, report that, and end in time; the next tick runs cleanly',
    async (mode) => {
      await bench.addDms(6);
      door.mode = mode;
      const began = performance.now();
      const report = await tickOnce();
      const ms = performance.now() - began;
      expect(report).toMatchObject({ outcome: 'ran', lock: 'unavailable', counts: { claimed: 6, done: 6 } });
      // One command, which times out after 500 ms. There is no lock to extend or release.
      expect(commands()).toEqual(['set']);
      expect(ms).toBeLessThan(500 + 1_500);
      expect(await stack.sql(`select report->>'lock' as lock from punctual.ticks`)).toEqual([
        { lock: 'unavailable' },
      ]);

      door.mode = 'ok';
      await door.redis('flushall'); // five seconds later
      await stack.sql(`update punctual.dm_queue set status = 'pending', attempts = 0`);
      expect(await tickOnce()).toMatchObject({
        outcome: 'ran',
        lock: 'acquired',
        counts: { claimed: 6, done: 6 },
      });
      expect(await door.redis('exists', key)).toBe(0);
    },
  );

  it.each<DoorMode>(['down', 'hangs'])(
    '(%s) from mid-tick on lets the tick send everything and end in time',
    async (mode) => {
      await bench.addDms(12);
      const began = performance.now();
      const report = await tickOnce(() => {
        door.mode = mode;
      });
      expect(performance.now() - began).toBeLessThan(3_000);
      expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { claimed: 12, done: 12 } });
      expect(await bench.states()).toEqual({ sent: 12 });
      // The lock was not released and expires with the tick's limit.
      expect(await lifetimeMs()).toBeGreaterThan(50_000);
      expect(await lifetimeMs()).toBeLessThanOrEqual(60_000);
    },
  );

  it('leaves it to the database to admit one of two ticks at once', async () => {
    await bench.addDms(6);
    door.mode = 'down';
    let second: Promise<TickReport> | null = null;
    const first = await tickOnce(async () => {
      second ??= tickOnce();
      await second;
    });
    expect(first).toMatchObject({ outcome: 'ran', lock: 'unavailable', counts: { done: 6 } });
    expect(await second).toMatchObject({ outcome: 'skipped', lock: 'unavailable' });
  });
});

describe('a tick process that dies holding the lock', () => {
  const start = () => startTickProcess({ ...settings, unipile: { dsn: sandbox.url, apiKey: 'sandbox-key' } });
  const addSandboxDms = async (count: number) => {
    await bench.addDms(count);
    await stack.sql(`update punctual.dm_queue set chat_id = null, recipient = 'person-' || id`);
  };

  it('before it had work blocks other ticks for at most six seconds', async () => {
    await addSandboxDms(3);
    stack.gateway.failNext('hangs');
    const child = start();
    await expect.poll(() => stack.gateway.calls(), { timeout: 10_000 }).toHaveLength(1);
    child.kill('SIGKILL');
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    const diedAt = performance.now();
    expect(await tickOnce()).toMatchObject({ outcome: 'skipped', lock: 'held' });

    let report: TickReport;
    do {
      await sleep(250);
      report = await tickOnce();
    } while (report.lock === 'held' && performance.now() - diedAt < 8_000);
    expect(performance.now() - diedAt).toBeLessThan(6_000);
    expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 3 } });
  });

  it('in mid-send blocks other ticks for at most its limit, and then its rows become unknown and the others are sent', async () => {
    await addSandboxDms(8);
    const child = start();
    await expect.poll(() => bench.states(), { timeout: 10_000 }).toEqual({ sending: 5, pending: 3 });
    await expect.poll(commands).toEqual(['set', 'eval']);
    child.kill('SIGKILL');
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    expect(await lifetimeMs()).toBeGreaterThan(0);
    expect(await lifetimeMs()).toBeLessThanOrEqual(60_000);
    expect(await tickOnce()).toMatchObject({ outcome: 'skipped', lock: 'held' });

    // Lets its limit and leases pass: Redis gets a shorter lifetime, the database a later time.
    await door.redis('pexpire', key, 1);
    await expect.poll(() => door.redis('exists', key)).toBe(0);
    settings = { ...settings, aheadMs: 120_000 };
    const report = await tickOnce();
    settings = { ...settings, aheadMs: undefined };
    expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 3, swept: 5 } });
    expect(await bench.states()).toEqual({ sent: 3, unknown: 5 });
  });
});
