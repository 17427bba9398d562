import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { exchanges } from '../support/exchanges.ts';
import { assertProperty, runs } from '../support/property.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let account: string;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(() => begin());

async function begin(changes: Record<string, unknown> = {}): Promise<void> {
  await database.reset();
  await database.sql('update punctual.queues set batch_limit = null');
  sql = exchanges(database);
  account = await sql.addAccount({ daily_limit: 1_000, ...changes });
}

const ofAccount = { outcome: 'retry', rate_limited: true, refused: 'account', error: 'restricted' };
const ofProvider = { ...ofAccount, refused: 'provider', error: 'wrong key' };
const ofRow = (refusal: string) => ({
  outcome: 'dead',
  refused: 'row',
  refusal,
  error: `it said ${refusal}`,
});

/** Claims the account's next row and settles it with `record`. Returns its id, or null if no row may be claimed. */
async function attempt(record: Record<string, unknown>): Promise<string | null> {
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(1);
  const id = rows[0]?.id;
  const whole = { claim_id: claimId, account_id: account, outcome: 'done', ...record };
  await tick.settle(id ? [{ ...whole, id }] : [], { close: true });
  return id ?? null;
}

async function addDms(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(account));
  return ids;
}

const seconds = (instant: string | null) =>
  instant === null ? null : (Date.parse(instant) - Date.parse(sql.now)) / 1_000;

async function pausedSeconds(): Promise<number | null> {
  const [row] = await database.sql('select paused_until from punctual.accounts where id = $1', [account]);
  const left = seconds(row.paused_until);
  return left !== null && left > 0 ? left : null;
}

async function readRefused() {
  const stats = statsSchema.parse(
    await database.rpc('read_stats', { p_configured: ['unipile'], p_now: sql.now }),
  );
  return stats.queues.find(({ name }) => name === 'dm_queue')?.refused;
}

describe('a refused account', () => {
  it('pauses twice as long each time, from 5 minutes to 4 hours, and keeps its row pending', async () => {
    const [first] = await addDms(2);
    const pauses: (number | null)[] = [];
    for (let n = 0; n < 8; n++) {
      expect(await attempt(ofAccount)).toBe(first);
      expect(await sql.dm(first ?? '')).toMatchObject({
        status: 'pending',
        attempts: 0,
        last_error: 'restricted',
      });
      pauses.push(await pausedSeconds());
      sql.pass((pauses.at(-1) ?? 0) - 1);
      expect(await attempt(ofAccount)).toBeNull();
      sql.pass(1);
    }
    expect(pauses).toEqual([300, 600, 1_200, 2_400, 4_800, 9_600, 14_400, 14_400]);
  });

  it.each([
    ['is sent', { outcome: 'done' }],
    [
      'is limited',
      { outcome: 'retry', rate_limited: true, limit_scope: 'account', account_pause_seconds: 1 },
    ],
  ])('starts again at 5 minutes once a message %s', async (_, record) => {
    await addDms(3);
    for (const wait of [300, 600]) {
      await attempt(ofAccount);
      expect(await pausedSeconds()).toBe(wait);
      sql.pass(wait);
    }
    await attempt(record);
    sql.pass(1);
    await attempt(ofAccount);
    expect(await pausedSeconds()).toBe(300);
  });

  describe('in several queues', () => {
    /** Does the same as `attempt` with a post. */
    async function attemptPost(record: Record<string, unknown>): Promise<string | null> {
      const tick = sql.tick({ queue: 'posts' });
      const { rows, claimId } = await tick.claim(1);
      const id = rows[0]?.id;
      await tick.settle(
        id ? [{ id, claim_id: claimId, account_id: account, outcome: 'done', ...record }] : [],
        {
          close: true,
        },
      );
      return id ?? null;
    }
    const addPost = () =>
      database.sql(
        `insert into punctual.posts (account_id, body, scheduled_for) values ($1, 'x', '2026-01-01')`,
        [account],
      );

    it('pauses in all of them, twice as long each time', async () => {
      await addDms(1);
      await addPost();
      for (const [n, wait] of [300, 600, 1_200, 2_400].entries()) {
        expect(await (n % 2 === 0 ? attempt : attemptPost)(ofAccount)).not.toBeNull();
        expect(await pausedSeconds()).toBe(wait);
        expect([await attempt(ofAccount), await attemptPost(ofAccount)]).toEqual([null, null]);
        sql.pass(wait);
      }
    });

    it('starts again at 5 minutes in all of them once one of them has sent', async () => {
      await addDms(1);
      await addPost();
      await attempt(ofAccount);
      sql.pass(300);
      await attemptPost({ outcome: 'done' });
      expect(await readRefused()).toEqual([]);
      await attempt(ofAccount);
      expect(await pausedSeconds()).toBe(300);
    });

    it('starts again at 5 minutes in all of them once one of them has only a row refused', async () => {
      await addDms(1);
      await addPost();
      await attempt(ofAccount);
      sql.pass(300);
      await attemptPost(ofRow('too_long'));
      await attempt(ofAccount);
      expect(await pausedSeconds()).toBe(300);
    });

    it('is tried with one row of one queue after its pause', async () => {
      const [id = ''] = await addDms(1);
      await addPost();
      await attempt(ofAccount);
      sql.pass(300);
      const dms = sql.tick();
      const { rows, claimId } = await dms.claim(1);
      expect(rows).toHaveLength(1);
      expect(await attemptPost(ofAccount)).toBeNull();
      await dms.settle([{ id, claim_id: claimId, account_id: account, outcome: 'done' }], { close: true });
      expect(await attemptPost({})).not.toBeNull();
    });
  });

  it.each(['unknown', 'retry', 'release'])('does not start again at 5 minutes after %s', async (outcome) => {
    await addDms(3);
    await attempt(ofAccount);
    sql.pass(300);
    await attempt({ outcome, error: 'no answer', delay_seconds: 0 });
    await attempt(ofAccount);
    expect(await pausedSeconds()).toBe(600);
  });

  it('is paused in every queue, and no claim takes its rows', async () => {
    await addDms(1);
    await database.sql(
      `insert into punctual.posts (account_id, body, scheduled_for) values ($1, 'a post', $2)`,
      [account, sql.now],
    );
    await attempt(ofAccount);
    const posts = sql.tick({ queue: 'posts', providers: ['unipile'] });
    expect((await posts.claim()).rows).toEqual([]);
    await posts.close();
    sql.pass(300);
    expect((await sql.tick({ queue: 'posts', providers: ['unipile'] }).claim()).rows).toHaveLength(1);
  });

  it('counts a refusal once, however often its outcome is settled', async () => {
    const [id] = await addDms(1);
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    const records = [{ id: id ?? '', claim_id: claimId, account_id: account, ...ofAccount }];
    await tick.settle(records);
    await tick.settle(records);
    expect(await pausedSeconds()).toBe(300);
    expect(await database.sql('select refused from punctual.accounts')).toMatchObject([
      { refused: { count: 1, queue: 'dm_queue' } },
    ]);
  });

  it('is not paused by a late refusal of an earlier claim', async () => {
    const lost = await sql.addDm(account, { chat_id: 'one' });
    const dead = await sql.tick().claim(1);
    sql.pass(600);
    await sql.addDm(account, { chat_id: 'two' });
    expect(await attempt({ outcome: 'done' })).not.toBeNull();
    await sql.tick().settle([{ ...ofAccount, id: lost, claim_id: dead.claimId, account_id: account }]);
    expect(await pausedSeconds()).toBeNull();
  });

  it('starts again at 5 minutes after an operator ends the pause', async () => {
    const [id] = await addDms(1);
    await attempt(ofAccount);
    sql.pass(300);
    await attempt(ofAccount);
    await database.sql('update punctual.accounts set paused_until = null, paused_reason = null');
    expect(await readRefused()).toEqual([]);
    expect(await attempt(ofAccount)).toBe(id);
    expect(await pausedSeconds()).toBe(300);
  });

  it('is tried again at once after end_refusal, and another account’s pause stays', async () => {
    const [id] = await addDms(1);
    await attempt(ofAccount);
    const p_account_id = await sql.addAccount({ paused_until: sql.at(60), paused_reason: 'holiday' });
    const other = database.rpc('end_refusal', { p_provider: 'unipile', p_account_id });
    await expect(other).rejects.toMatchObject({ code: 'PT404' });
    await database.rpc('end_refusal', { p_provider: 'unipile', p_account_id: account });
    expect(await readRefused()).toEqual([]);
    expect(await attempt({})).toBe(id);
    const paused = await database.sql(
      'select paused_reason from punctual.accounts where paused_until is not null',
    );
    expect(paused).toEqual([{ paused_reason: 'holiday' }]);
  });

  it('keeps a pause that an operator set since, and is no longer refused after end_refusal', async () => {
    await addDms(1);
    await attempt(ofAccount);
    const until = sql.at(7 * 86_400);
    await database.sql(`update punctual.accounts set paused_until = $1, paused_reason = 'holiday'`, [until]);
    await database.rpc('end_refusal', { p_provider: 'unipile', p_account_id: account });
    expect(await readRefused()).toEqual([]);
    const [{ paused_until, paused_reason }] = await database.sql(
      'select paused_until, paused_reason from punctual.accounts',
    );
    expect([new Date(paused_until).toISOString(), paused_reason]).toEqual([until, 'holiday']);
    expect(await attempt({})).toBeNull();
  });

  it('never shortens an operator’s longer pause', async () => {
    await addDms(1);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    await database.sql(`update punctual.accounts set paused_until = $1, paused_reason = 'holiday'`, [
      sql.at(86_400),
    ]);
    await tick.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, account_id: account, ...ofAccount }]);
    expect(await pausedSeconds()).toBe(86_400);
  });

  it('is listed with the provider’s text and the end of the pause, and each of its rows says so', async () => {
    const [id] = await addDms(1);
    await attempt(ofAccount);
    const until = '2026-03-02T12:05:00+00:00';
    const { name } = (await database.sql('select name from punctual.accounts'))[0];
    expect(await readRefused()).toEqual([{ provider: 'unipile', account, name, said: 'restricted', until }]);
    expect((await sql.explain(id ?? '')).waits).toContainEqual({
      kind: 'paused',
      until,
      text: 'paused: restricted',
    });
    sql.pass(300);
    expect(await readRefused()).toMatchObject([{ account, until: null }]);
    await attempt({});
    expect(await readRefused()).toEqual([]);
  });

  it('does not count as rate limited', async () => {
    await addDms(1);
    await attempt(ofAccount);
    expect(await database.sql('select limited from punctual.ticks where claimed > 0')).toEqual([
      { limited: 0 },
    ]);
  });
});

describe('the same refusal of one row after another', () => {
  it('pauses the account at the fifth, and twice as long for each that follows', async () => {
    await addDms(9);
    const pauses: (number | null)[] = [];
    for (let n = 0; n < 7; n++) {
      expect(await attempt(ofRow('new'))).not.toBeNull();
      pauses.push(await pausedSeconds());
      sql.pass(pauses.at(-1) ?? 0);
    }
    expect(pauses).toEqual([null, null, null, null, 4_800, 9_600, 14_400]);
    expect(await readRefused()).toMatchObject([
      { account, said: '7 rows in a row were refused: it said new' },
    ]);
  });

  it('counts from the beginning once a row is sent', async () => {
    await addDms(6);
    for (let n = 0; n < 4; n++) await attempt(ofRow('too_long'));
    await attempt({ outcome: 'done' });
    await attempt(ofRow('too_long'));
    expect(await pausedSeconds()).toBeNull();
  });

  it('pauses the account after five alike and never after fewer, as a model computes from random outcomes', async () => {
    const outcome = fc.constantFrom('a', 'a', 'a', 'b', 'done', 'unknown', 'unsent', 'account');
    const records: Record<string, Record<string, unknown>> = {
      a: ofRow('a'),
      b: ofRow('b'),
      done: {},
      unknown: { outcome: 'unknown', error: 'e' },
      unsent: { outcome: 'retry', error: 'e', delay_seconds: 0 },
      account: ofAccount,
    };
    const property = fc.asyncProperty(
      fc.array(outcome, { minLength: 5, maxLength: 14 }),
      async (outcomes) => {
        await begin();
        await addDms(outcomes.length);
        let last: string | null = null;
        let count = 0;
        for (const one of outcomes) {
          expect(await attempt(records[one] ?? {})).not.toBeNull();
          if (one === 'done') last = null;
          if (one === 'done') count = 0;
          if (one === 'a' || one === 'b' || one === 'account') {
            count = one === last ? count + 1 : 1;
            last = one;
          }
          const pauses = one === 'account' || ((one === 'a' || one === 'b') && count >= 5);
          expect(await pausedSeconds()).toBe(pauses ? Math.min(14_400, 300 * 2 ** (count - 1)) : null);
          sql.pass((await pausedSeconds()) ?? 0);
        }
      },
    );
    await assertProperty(property, { numRuns: runs({ quick: 8, all: 40, real: 3 }) });
  });
});

describe('a refused call', () => {
  it.each([
    ['of the row', ofRow('gone')],
    ['of the account', { ...ofAccount }],
  ])('%s keeps its place in the gap and the hour, and frees the one in the day', async (_, record) => {
    await begin({ hourly_limit: 2, gap_seconds: 60, daily_limit: 1 });
    await addDms(4);
    await attempt(record);
    await database.sql('update punctual.accounts set paused_until = null');
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [expect.anything()] });
    sql.pass(59);
    expect(await attempt(record)).toBeNull();
    sql.pass(1);
    expect(await attempt(record)).not.toBeNull();
    await database.sql('update punctual.accounts set paused_until = null');
    sql.pass(3_500);
    expect(await attempt({})).toBeNull();
    sql.pass(40);
    expect(await attempt({})).not.toBeNull();
  });

  it.each(['release', 'dead', 'retry'])('that was never made frees every place: %s', async (outcome) => {
    await begin({ hourly_limit: 1, gap_seconds: 60, daily_limit: 1 });
    await addDms(2);
    await attempt({ outcome, error: 'no media', delay_seconds: 0 });
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [] });
    expect(await attempt({})).not.toBeNull();
  });
});

describe('a provider that refuses our set-up', () => {
  const note = (count: number) => [{ name: 'unipile', ok: false, refused: count, error: 'wrong key' }];
  const report = (providers: object[]) => sql.tick().exchange({ outcomes: { providers }, close: true });
  const restSeconds = async () => {
    const [row] = await database.sql(`select paused_until from punctual.providers where name = 'unipile'`);
    return row ? seconds(row.paused_until) : null;
  };

  it('rests twice as long for each call it refuses, even if calls run side by side', async () => {
    await report(note(1));
    expect(await restSeconds()).toBe(300);
    await report(note(1));
    expect(await restSeconds()).toBe(600);
    await report(note(3));
    expect(await restSeconds()).toBe(4_800);
    await report(note(40));
    expect(await restSeconds()).toBe(14_400);
  });

  it('counts a refusal once if the response to the exchange was lost', async () => {
    const tick = sql.tick();
    const call = { seq: 1, claimId: crypto.randomUUID(), outcomes: { providers: note(1) } };
    await tick.exchange(call);
    await tick.exchange(call);
    expect(await restSeconds()).toBe(300);
  });

  it('is tried after its rest with one row, of another account than the one it refused', async () => {
    const other = await sql.addAccount();
    const first = await sql.addDm(account, { send_at: sql.at(-60) });
    const second = await sql.addDm(other);
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    const records = [{ id: first, claim_id: claimId, account_id: account, ...ofProvider }];
    await tick.exchange({ outcomes: { records, providers: note(1) }, close: true });
    sql.pass(299);
    expect((await sql.tick().exchange({ want: 9, close: true })).rows).toEqual([]);
    sql.pass(1);
    const probe = sql.tick();
    const { rows, probing } = await probe.claim();
    expect([rows.map(({ id }) => id), probing]).toEqual([[second], ['unipile']]);
    const answered = { records: [], providers: [{ name: 'unipile', ok: true }] };
    expect((await probe.exchange({ outcomes: answered, want: 9 })).rows.map(({ id }) => id)).toEqual([first]);
    expect(await readRefused()).toEqual([]);
  });

  it('is tried again at once after end_refusal, with one row first', async () => {
    const first = await sql.addDm(account, { send_at: sql.at(-60) });
    await sql.addDm(await sql.addAccount());
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    const records = [{ id: first, claim_id: claimId, account_id: account, ...ofProvider }];
    await tick.exchange({ outcomes: { records, providers: note(3) }, close: true });
    await database.rpc('end_refusal', { p_provider: 'unipile', p_now: sql.now });
    expect(await readRefused()).toEqual([]);
    expect((await sql.tick().claim()).rows).toHaveLength(1);
    expect(await sql.pace(account)).toMatchObject({ refused: null, retry_at: null });
    const again = database.rpc('end_refusal', { p_provider: 'unipile' });
    await expect(again).rejects.toMatchObject({ code: 'PT404' });
  });

  it('is listed as refused in every queue with its accounts, and not as a failing provider', async () => {
    const [id] = await addDms(1);
    await attempt(ofProvider);
    await report(note(1));
    const until = '2026-03-02T12:05:00+00:00';
    expect(await readRefused()).toEqual([
      { provider: 'unipile', account: null, name: null, said: 'wrong key', until },
    ]);
    const stats = statsSchema.parse(await database.rpc('read_stats', { p_configured: null, p_now: sql.now }));
    expect(stats.providers).toEqual([]);
    const waiting = { reason: 'the provider unipile refuses our configuration', accounts: 1, until };
    expect(stats.queues.find(({ name }) => name === 'dm_queue')?.waiting).toEqual([waiting]);
    expect((await sql.explain(id ?? '')).waits).toContainEqual({
      kind: 'provider_resting',
      until,
      text: 'the provider unipile refuses our configuration: correct it: wrong key',
    });
  });
});
