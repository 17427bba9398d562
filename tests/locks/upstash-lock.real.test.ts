import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Clock, systemClock } from '@/lib/engine/ports/clock.ts';
import type { HeldLock, OverlapLock } from '@/lib/engine/ports/overlap-lock.ts';
import { upstashLock } from '@/lib/locks/upstash-lock.ts';
import { type DoorMode, type RedisRestDoor, startRedisRestDoor } from '../stack/redis-rest-door.ts';

let door: RedisRestDoor;
let logged: string[];

beforeAll(async () => {
  door = await startRedisRestDoor();
});
afterAll(() => door?.stop());
beforeEach(async () => {
  door.mode = 'ok';
  await door.redis('flushall');
  door.resetCommands();
  logged = [];
});

/** Real time, which `skip` moves forward. */
function movableClock(): Clock & { skip(ms: number): void } {
  let skipped = 0;
  return {
    now: () => systemClock.now() + skipped,
    timer: systemClock.timer,
    skip(ms) {
      skipped += ms;
    },
  };
}

function lockOn({
  url = door.url,
  token = door.token,
  clock = systemClock as Clock,
  // A lock must not fail because the machine is slow.
  timeoutMs = 20_000,
} = {}): OverlapLock {
  const keep = (fields: object, message: string) => logged.push(JSON.stringify({ ...fields, message }));
  return upstashLock({ url, token, clock, log: { info: keep, warn: keep, error: keep }, timeoutMs });
}

async function take(lock: OverlapLock, key: string, lifetimeMs = 5_000): Promise<HeldLock> {
  const attempt = await lock.acquire(key, lifetimeMs);
  if (attempt.state !== 'acquired') throw new Error(JSON.stringify(attempt));
  return attempt.lock;
}

const ttl = async (key: string) => Number(await door.redis('pttl', `punctual:lock:${key}`));

test('one of 20 contenders acquires the lock, and another can after its release', async () => {
  const attempts = await Promise.all(
    Array.from({ length: 20 }, () => lockOn().acquire('dm_queue/main', 5_000)),
  );
  const winners = attempts.filter((attempt) => attempt.state === 'acquired');
  expect(winners).toHaveLength(1);
  expect(attempts.filter((attempt) => attempt.state === 'held')).toHaveLength(19);
  await winners[0]?.lock.release();
  await take(lockOn(), 'dm_queue/main');
});

test('different keys are different locks, and each costs one Redis command, because it expires by itself', async () => {
  const set = (key: string) => ['set', `punctual:lock:${key}`, expect.any(String), 'nx', 'px', 5_000];
  await take(lockOn(), 'monitors/eu');
  await take(lockOn(), 'monitors/us');
  expect(door.commands()).toEqual([set('monitors/eu'), set('monitors/us')]);
});

test('a lock that is not extended expires', async () => {
  await take(lockOn(), 'k', 60.4);
  expect(await ttl('k')).toBeLessThanOrEqual(61);
  await expect.poll(() => lockOn().acquire('k', 5_000)).toMatchObject({ state: 'acquired' });
});

test('an extension counts the new lifetime from now', async () => {
  const held = await take(lockOn(), 'k', 1_000);
  expect(await held.extend(60_000)).toBe(true);
  expect(await ttl('k')).toBeGreaterThan(50_000);
});

test('a holder that lost the lock neither extends nor deletes the next holder’s', async () => {
  const late = await take(lockOn(), 'k');
  await door.redis('del', 'punctual:lock:k');
  expect(await late.extend(60_000)).toBe(false);

  await take(lockOn(), 'k');
  expect(await late.extend(60_000)).toBe(false);
  await late.release();
  expect(await ttl('k')).toBeGreaterThan(0);
  expect(await ttl('k')).toBeLessThanOrEqual(5_000);
});

test.each<[DoorMode, RegExp]>([
  ['hangs', /no answer within 200 ms/],
  ['answer lost', /no answer within 200 ms/],
  ['fails', /refused: ERR internal/],
  ['down', /not reachable/],
])(
  'if Redis is in the mode "%s", the lock is unavailable within 400 ms after one command, and nothing throws',
  async (mode, reason) => {
    const lock = lockOn({ timeoutMs: 200 });
    const held = await take(lock, 'held');
    door.resetCommands();
    door.mode = mode;
    const start = performance.now();
    expect(await lock.acquire('k', 5_000)).toEqual({
      state: 'unavailable',
      reason: expect.stringMatching(reason),
    });
    expect(performance.now() - start).toBeLessThan(400);
    expect(door.commands()).toHaveLength(1);
    expect(await held.extend(60_000)).toBe(false);
    await held.release();
  },
);

test('a lock whose response was lost blocks for its short lifetime and no longer', async () => {
  door.mode = 'answer lost';
  expect(await lockOn({ timeoutMs: 100 }).acquire('k', 300)).toMatchObject({ state: 'unavailable' });
  door.mode = 'ok';
  expect(await lockOn().acquire('k', 5_000)).toEqual({ state: 'held' });
  await expect.poll(() => lockOn().acquire('k', 5_000)).toMatchObject({ state: 'acquired' });
});

test('after three failures in a row the lock sends no command for 30 s, then tries once', async () => {
  const clock = movableClock();
  const lock = lockOn({ clock });
  const states = async (times: number) => {
    const seen: string[] = [];
    for (let n = 0; n < times; n += 1) seen.push((await lock.acquire('k', 50)).state);
    return seen;
  };
  for (const _ of [1, 2]) {
    door.mode = 'fails';
    await states(2);
    door.mode = 'ok';
    expect(await states(1)).toEqual(['acquired']); // a success in between: not in a row
    await door.redis('flushall');
  }
  door.mode = 'fails';
  await states(3);
  door.resetCommands();

  door.mode = 'ok';
  expect(await states(3)).toEqual(['unavailable', 'unavailable', 'unavailable']);
  expect(door.commands()).toEqual([]);

  clock.skip(30_000);
  door.mode = 'fails';
  expect(await states(2)).toEqual(['unavailable', 'unavailable']);
  expect(door.commands()).toHaveLength(1); // one more failure, and it pauses again

  clock.skip(30_000);
  door.mode = 'ok';
  expect(await states(1)).toEqual(['acquired']);
});

test('a wrong token, a malformed address or an unreachable server makes the lock unavailable, without secrets in logs or reasons', async () => {
  const wrongToken = await lockOn({ token: 'secret-token-1' }).acquire('k', 5_000);
  expect(wrongToken).toEqual({ state: 'unavailable', reason: expect.stringContaining('WRONGPASS') });
  const malformed = await lockOn({ url: 'secret-host.example' }).acquire('k', 5_000);
  expect(malformed).toEqual({ state: 'unavailable', reason: 'the address is not an http(s) URL' });
  const gone = await lockOn({ url: 'http://127.0.0.1:1/secret-path' }).acquire('k', 5_000);
  expect(gone).toMatchObject({ state: 'unavailable', reason: expect.stringContaining('not reachable') });
  expect(logged).toHaveLength(3);
  expect(JSON.stringify([logged, wrongToken, malformed, gone])).not.toMatch(/secret-|127\.0\.0\.1/);
});
