import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { type Sandbox, startSandbox } from '../../lib/sandbox/sandbox.ts';
import { type DoorMode, type RedisRestDoor, startRedisRestDoor } from '../stack/redis-rest-door.ts';
import { perTestStackBench, testStack } from './test-stack.ts';
import { startTickProcess, type TickSettings } from './tick-process.ts';

const key = 'punctual:lock:dm_queue:main';

const stack = testStack();
const bench = perTestStackBench(stack);
let door: RedisRestDoor;
let sandbox: Sandbox;

beforeAll(async () => {
  door = await startRedisRestDoor();
  sandbox = await startSandbox({ latencyMs: [3_000, 3_000] });
});
afterAll(async () => {
  await sandbox?.close();
  await door?.stop();
});
beforeEach(async () => {
  door.mode = 'ok';
  await door.redis('flushall');
  door.resetCommands();
  stack.gateway.resetCalls();
});

const redis = () => ({ url: door.url, token: door.token });
const lifetimeMs = async () => Number(await door.redis('pttl', key));
const commands = () => door.commands().map(([name]) => name);

/** Runs a tick whose rows take 20 ms each. `onRow` runs once a row. */
const tick = (onRow: () => unknown = () => {}, settings: Partial<TickSettings> = {}): Promise<TickReport> =>
  bench.tick(
    async () => {
      await sleep(20);
      await onRow();
      return done();
    },
    { ...settings, redis: redis() },
  );

async function expectLifetime(moreThanMs: number, atMostMs: number): Promise<void> {
  expect(await lifetimeMs()).toBeGreaterThan(moreThanMs);
  expect(await lifetimeMs()).toBeLessThanOrEqual(atMostMs);
}

describe('the lock around a tick', () => {
  it('costs an idle tick exactly one Redis command and one database call, and expires before the next minute', async () => {
    await bench.addDms(0, { accounts: 3 });
    expect(await tick()).toMatchObject({ outcome: 'idle', lock: 'acquired', exchanges: 1 });
    expect(door.commands()).toEqual([['set', key, expect.any(String), 'nx', 'px', 5_000]]);
    expect(stack.gateway.calls()).toEqual(['rpc/exchange']);
    await expectLifetime(0, 5_000);
  });

  it('is extended to the tick’s limit when there is work, makes a second tick skip, and is released at the end', async () => {
    await bench.addDms(12);
    let second: Promise<TickReport> | null = null;
    const first = await tick(async () => {
      await expectLifetime(55_000, 60_000);
      second ??= tick();
      await second;
    });
    expect(first).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 12 } });
    expect(await second).toMatchObject({ outcome: 'skipped', lock: 'held', counts: { claimed: 0 } });
    expect(commands()).toEqual(['set', 'eval', 'set', 'eval']);
    expect(await door.redis('exists', key)).toBe(0);
    expect(
      await stack.sql(
        `select outcome, admitted, claimed, report->>'lock' as lock from punctual.ticks order by started_at`,
      ),
    ).toEqual([
      { outcome: 'ran', admitted: true, claimed: 12, lock: 'acquired' },
      { outcome: 'skipped', admitted: false, claimed: 0, lock: 'held' },
    ]);
  });
});

describe('unavailable Redis', () => {
  it.each<DoorMode>(['down', 'hangs', 'answer lost', 'fails'])(
    '(%s) lets the tick run without the lock, report that, and end in time',
    async (mode) => {
      await bench.addDms(6);
      door.mode = mode;
      const began = performance.now();
      expect(await tick()).toMatchObject({
        outcome: 'ran',
        lock: 'unavailable',
        counts: { claimed: 6, done: 6 },
      });
      // One command, which times out after 500 ms. There is no lock to extend or release.
      expect(performance.now() - began).toBeLessThan(500 + 1_500);
      expect(commands()).toEqual(['set']);
      expect(await stack.sql(`select report->>'lock' as lock from punctual.ticks`)).toEqual([
        { lock: 'unavailable' },
      ]);
    },
  );

  it.each<DoorMode>(['down', 'hangs'])(
    '(%s) from mid-tick on lets the tick send everything and end in time, and the lock expires with its limit',
    async (mode) => {
      await bench.addDms(12);
      const began = performance.now();
      const report = await tick(() => {
        door.mode = mode;
      });
      expect(performance.now() - began).toBeLessThan(3_000);
      expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { claimed: 12, done: 12 } });
      await expectLifetime(50_000, 60_000);
    },
  );
});

describe('a tick process that dies holding the lock', () => {
  async function start(rows: number) {
    await bench.addDms(rows);
    await stack.sql(`update punctual.dm_queue set chat_id = null, recipient = 'person-' || id`);
    const unipile = { dsn: sandbox.url, apiKey: 'sandbox-key' };
    const child = startTickProcess({ ...stack.settings, redis: redis(), unipile });
    return async () => {
      child.kill('SIGKILL');
      expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
      expect(await tick()).toMatchObject({ outcome: 'skipped', lock: 'held' });
    };
  }

  it('before it had work blocks other ticks for at most six seconds', async () => {
    stack.gateway.failNext('hangs');
    const kill = await start(3);
    await expect.poll(() => stack.gateway.calls(), { timeout: 10_000 }).toHaveLength(1);
    await kill();
    const diedAt = performance.now();
    let report: TickReport;
    do {
      await sleep(250);
      report = await tick();
    } while (report.lock === 'held' && performance.now() - diedAt < 8_000);
    expect(performance.now() - diedAt).toBeLessThan(6_000);
    expect(report).toMatchObject({ outcome: 'ran', lock: 'acquired', counts: { done: 3 } });
  });

  it('in mid-send blocks other ticks for at most its limit, and then its rows become unknown and the others are sent', async () => {
    const kill = await start(8);
    await expect.poll(() => bench.states(), { timeout: 10_000 }).toEqual({ sending: 5, pending: 3 });
    await expect.poll(commands).toEqual(['set', 'eval']);
    await kill();
    await expectLifetime(0, 60_000);

    // Lets its limit and leases pass: Redis gets a shorter lifetime, the database a later time.
    await door.redis('pexpire', key, 1);
    await expect.poll(() => door.redis('exists', key)).toBe(0);
    expect(await tick(undefined, { aheadMs: 120_000 })).toMatchObject({
      outcome: 'ran',
      lock: 'acquired',
      counts: { done: 3, swept: 5 },
    });
    expect(await bench.states()).toEqual({ sent: 3, unknown: 5 });
  });
});
