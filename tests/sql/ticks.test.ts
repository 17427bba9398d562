import { describe, expect, it } from 'vitest';
import { listTicks, readTick } from '../../lib/operate/ticks.ts';
import { readPulse } from '../../lib/stats/pulse.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

/** A tick that claims up to `want` rows and ends. */
const runTick = (want = 0) => sql.tick().exchange({ want, close: true });
/** Ticks are judged at the test's time. */
const rpc = (fn: string, params: object) => database.rpc(fn, { ...params, p_now: sql.now });
const list = (query: { idle?: boolean; limit?: number } = {}) =>
  listTicks(rpc, 'dm_queue', { idle: false, limit: 50, ...query });
const outcomes = async (query?: Parameters<typeof list>[0]) =>
  (await list(query)).items.map(({ outcome }) => outcome);

describe('the ticks of a queue', () => {
  it('are listed latest first, without idle ones unless they are asked for', async () => {
    await sql.addDm(await sql.addAccount());
    await runTick();
    sql.pass(60);
    await sql.tick().claim();
    sql.pass(100);
    await runTick(5);
    expect(await outcomes()).toEqual(['ran', 'died']);
    expect(await outcomes({ idle: true })).toEqual(['ran', 'died', 'idle']);
  });

  it('have their scheduler, path, schedule, slot, run id and continuation number', async () => {
    const called = { path: '/api/cron/dm-queue', schedule: '* * * * *', run_id: crypto.randomUUID() };
    const call = { scheduler: 'pg-cron', ...called, continuation: 2 };
    const slot = sql.now;
    await sql.addDm(await sql.addAccount());
    await sql.tick({ ...call, slot }).claim();
    sql.pass(1);
    await runTick();
    const [own, continuation] = (await list({ idle: true })).items;
    expect(continuation).toMatchObject(call);
    expect(Date.parse(continuation?.slot ?? '')).toBe(Date.parse(slot));
    expect(own).toMatchObject({ path: null, schedule: null, continuation: 0, run_id: own?.id });
  });

  it('are listed page by page, each once, while new ones come', async () => {
    for (let n = 0; n < 5; n++) {
      await runTick();
      if (n % 2 === 0) sql.pass(1);
    }
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = { idle: true, limit: 2, ...(cursor !== null && { cursor: readCursor(cursor) }) };
      const { items, next } = await list(page);
      seen.push(...items.map(({ id }) => id));
      cursor = next;
      sql.pass(1);
      await runTick();
    } while (cursor !== null);
    expect(new Set(seen).size).toBe(5);
    expect(seen).toHaveLength(5);
  });

  it('of an unknown queue are not found', async () => {
    await expect(listTicks(rpc, 'nowhere', { idle: false, limit: 1 })).rejects.toMatchObject({ status: 404 });
    await expect(listTicks(rpc, 'No Name', { idle: false, limit: 1 })).rejects.toMatchObject({ status: 404 });
  });
});

describe('one tick', () => {
  it('has its whole report, of which a list has a part, and the ticks of its run', async () => {
    const run_id = crypto.randomUUID();
    const report = { ended: 'drained', usedMs: 12, exchanges: 3 };
    await sql.tick({ run_id }).exchange({ want: 0, close: true, report });
    sql.pass(1);
    await sql.tick({ run_id, continuation: 1 }).exchange({ want: 0, close: true });
    const [, first] = (await list({ idle: true })).items;
    expect(first?.report).toMatchObject({ ended: 'drained', usedMs: 12 });
    expect(first?.report).not.toHaveProperty('exchanges');
    const { tick, run } = await readTick(rpc, first?.id ?? '');
    expect(tick.report).toMatchObject(report);
    expect(run.map(({ continuation }) => continuation)).toEqual([0, 1]);
  });

  it('that is unknown is not found', async () => {
    await expect(readTick(rpc, crypto.randomUUID())).rejects.toMatchObject({ status: 404 });
    await expect(readTick(rpc, '7')).rejects.toMatchObject({ status: 404 });
  });
});

describe('the pulse', () => {
  const pulse = async () => (await readPulse(rpc)).queues.dm_queue;

  it('changes with each tick that is not idle and with its progress, and with no idle tick', async () => {
    expect(await pulse()).toBeNull();
    await runTick();
    expect(await pulse()).toBeNull();
    for (let n = 0; n < 2; n++) await sql.addDm(await sql.addAccount());
    sql.pass(1);
    const tick = sql.tick();
    await tick.claim(1);
    const first = await pulse();
    expect(first).toMatch(/^[0-9a-f]{8}\.1$/);
    await tick.exchange({ want: 1 });
    const second = await pulse();
    expect(second).not.toBe(first);
    sql.pass(1);
    await runTick();
    expect(await pulse()).toBe(second);
  });

  it('is smaller than 300 bytes', async () => {
    await sql.addDm(await sql.addAccount());
    await sql.drain();
    expect(JSON.stringify(await readPulse(rpc)).length).toBeLessThan(300);
  });
});

/** Reads a cursor as `pageQuery` does. */
function readCursor(text: string) {
  const [digest, ...key] = JSON.parse(Buffer.from(text, 'base64url').toString());
  return { digest: digest as string, key };
}
