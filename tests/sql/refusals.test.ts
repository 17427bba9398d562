import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { attempt as attemptNext } from '../support/attempt.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { assertProperty, runs } from '../support/property.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
let account: string;

const setAccounts = (change: string) => database.sql(`update punctual.accounts set ${change}`);
beforeEach(async () => {
  await database.sql('update punctual.queues set batch_limit = null');
  account = await sql.addAccount();
});

const ofAccount = { outcome: 'retry', rate_limited: true, refused: 'account', error: 'restricted' };
const ofProvider = { ...ofAccount, refused: 'provider', error: 'wrong key' };
const ofRow = (refusal: string) => ({
  outcome: 'dead',
  refused: 'row',
  refusal,
  error: `it said ${refusal}`,
});

const attempt = (record = {}) => attemptNext(sql, record);
const attemptPost = (record = {}) => attemptNext(sql, record, 'posts');

async function addDms(count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(account));
  return ids;
}
const addPost = () =>
  database.sql(
    `insert into punctual.posts (account_id, body, scheduled_for) values ($1, 'x', '2026-01-01')`,
    [account],
  );

const secondsTo = (instant: string | null) =>
  instant === null ? null : (Date.parse(instant) - Date.parse(sql.now)) / 1_000;
async function pausedSeconds(): Promise<number | null> {
  const [row] = await database.sql('select paused_until from punctual.accounts where id = $1', [account]);
  const left = secondsTo(row.paused_until);
  return left !== null && left > 0 ? left : null;
}
/** Lets an account be refused, and then its pause pass. */
async function refuseAndWait() {
  await attempt(ofAccount);
  sql.pass((await pausedSeconds()) ?? 0);
}

const readStats = async (p_configured: string[] | null = ['unipile']) =>
  statsSchema.parse(await database.rpc('read_stats', { p_configured, p_now: sql.now }));
const queueOf = ({ queues }: Awaited<ReturnType<typeof readStats>>) =>
  queues.find(({ name }) => name === 'dm_queue');
const readRefused = async () => queueOf(await readStats())?.refused;
const endRefusal = (p_account_id: string | null = account) =>
  database.rpc('end_refusal', { p_provider: 'unipile', p_account_id, p_now: sql.now });

describe('a refused account', () => {
  it('pauses twice as long each time, from 5 minutes to 4 hours, and keeps its row pending', async () => {
    const [first = ''] = await addDms(2);
    const pauses: (number | null)[] = [];
    for (let n = 0; n < 8; n++) {
      expect(await attempt(ofAccount)).toBe(first);
      const row = { status: 'pending', attempts: 0, last_error: 'restricted' };
      expect(await sql.dm(first)).toMatchObject(row);
      const pause = await pausedSeconds();
      pauses.push(pause);
      sql.pass((pause ?? 0) - 1);
      expect(await attempt(ofAccount)).toBeNull();
      sql.pass(1);
    }
    expect(pauses).toEqual([300, 600, 1_200, 2_400, 4_800, 9_600, 14_400, 14_400]);
    // A refusal is no rate limit.
    expect(await database.sql('select id from punctual.ticks where limited > 0')).toEqual([]);
  });

  it.each<[after: string, record: object, pause: number]>([
    ['done', {}, 300],
    [
      'a rate limit',
      { outcome: 'retry', rate_limited: true, limit_scope: 'account', account_pause_seconds: 0 },
      300,
    ],
    ['unknown', { outcome: 'unknown' }, 600],
    ['retry', { outcome: 'retry' }, 600],
    ['release', { outcome: 'release' }, 600],
  ])('starts again at 5 minutes only once a call was accepted: after %s', async (_, record, pause) => {
    await addDms(3);
    await refuseAndWait();
    await attempt(record);
    await attempt(ofAccount);
    expect(await pausedSeconds()).toBe(pause);
  });

  describe('in several queues', () => {
    beforeEach(async () => {
      await addDms(1);
      await addPost();
    });

    it('pauses in all of them, twice as long each time', async () => {
      for (const [n, wait] of [300, 600, 1_200, 2_400].entries()) {
        expect(await (n % 2 === 0 ? attempt : attemptPost)(ofAccount)).not.toBeNull();
        expect(await pausedSeconds()).toBe(wait);
        expect([await attempt(ofAccount), await attemptPost(ofAccount)]).toEqual([null, null]);
        sql.pass(wait);
      }
    });

    it.each([
      ['has sent', {}],
      ['has only a row refused', ofRow('too_long')],
    ])('starts again at 5 minutes in all of them once one of them %s', async (_, record) => {
      await refuseAndWait();
      await attemptPost(record);
      await attempt(ofAccount);
      expect(await pausedSeconds()).toBe(300);
    });

    it('is tried with one row of one queue after its pause', async () => {
      await refuseAndWait();
      const dms = sql.tick();
      const { rows, claimId: claim_id } = await dms.claim(1);
      expect(rows).toHaveLength(1);
      expect(await attemptPost(ofAccount)).toBeNull();
      const records = rows.map(({ id }) => ({ id, claim_id, account_id: account, outcome: 'done' }));
      await dms.settle(records, { close: true });
      expect(await attemptPost()).not.toBeNull();
    });
  });

  it('counts a refusal once, however often its outcome is settled', async () => {
    const [id = ''] = await addDms(1);
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    for (const _ of ['first', 'again'])
      await tick.settle([{ id, claim_id: claimId, account_id: account, ...ofAccount }]);
    expect(await pausedSeconds()).toBe(300);
    const [{ refused }] = await database.sql('select refused from punctual.accounts');
    expect(refused).toMatchObject({ count: 1, queue: 'dm_queue' });
  });

  it('is not paused by a late refusal of an earlier claim', async () => {
    const lost = await sql.addDm(account, { chat_id: 'one' });
    const dead = await sql.tick().claim(1);
    sql.pass(600);
    await sql.addDm(account, { chat_id: 'two' });
    expect(await attempt()).not.toBeNull();
    await sql.tick().settle([{ ...ofAccount, id: lost, claim_id: dead.claimId, account_id: account }]);
    expect(await pausedSeconds()).toBeNull();
  });

  it('starts again at 5 minutes after an operator ends the pause', async () => {
    const [id] = await addDms(1);
    await refuseAndWait();
    await attempt(ofAccount);
    await setAccounts('paused_until = null, paused_reason = null');
    expect(await readRefused()).toEqual([]);
    expect(await attempt(ofAccount)).toBe(id);
    expect(await pausedSeconds()).toBe(300);
  });

  it('is tried again at once after end_refusal, and another account’s pause stays', async () => {
    const [id] = await addDms(1);
    await attempt(ofAccount);
    const other = await sql.addAccount({ paused_until: sql.at(60), paused_reason: 'holiday' });
    await expect(endRefusal(other)).rejects.toMatchObject({ code: 'PT404' });
    await endRefusal();
    expect(await readRefused()).toEqual([]);
    expect(await attempt()).toBe(id);
    const paused = await database.sql('select id from punctual.accounts where paused_until is not null');
    expect(paused).toEqual([{ id: other }]);
  });

  it('keeps a pause that an operator set since, and is no longer refused after end_refusal', async () => {
    await addDms(1);
    await attempt(ofAccount);
    const paused = { paused_until: sql.at(7 * 86_400), paused_reason: 'holiday' };
    await setAccounts(`paused_until = '${paused.paused_until}', paused_reason = 'holiday'`);
    await endRefusal();
    expect(await readRefused()).toEqual([]);
    expect(await database.sql('select paused_until, paused_reason from punctual.accounts')).toEqual([paused]);
    expect(await attempt()).toBeNull();
  });

  it('never shortens an operator’s longer pause', async () => {
    const [id = ''] = await addDms(1);
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    await setAccounts(`paused_until = '${sql.at(86_400)}', paused_reason = 'holiday'`);
    await tick.settle([{ id, claim_id: claimId, account_id: account, ...ofAccount }]);
    expect(await pausedSeconds()).toBe(86_400);
  });

  it('is listed with the provider’s text and the end of the pause, and each of its rows says so', async () => {
    const [id = ''] = await addDms(1);
    await attempt(ofAccount);
    const until = '2026-03-02T12:05:00+00:00';
    const listed = { provider: 'unipile', account, name: 'A', said: 'restricted', until };
    expect(await readRefused()).toEqual([listed]);
    const wait = { kind: 'paused', until, text: 'paused: restricted' };
    expect((await sql.explain(id)).waits).toContainEqual(wait);
    sql.pass(300);
    expect(await readRefused()).toEqual([{ ...listed, until: null }]);
    await attempt();
    expect(await readRefused()).toEqual([]);
  });
});

describe('the same refusal of one row after another', () => {
  it('pauses the account at the fifth, and twice as long for each that follows', async () => {
    await addDms(7);
    const pauses: (number | null)[] = [];
    for (let n = 0; n < 7; n++) {
      expect(await attempt(ofRow('new'))).not.toBeNull();
      pauses.push(await pausedSeconds());
      sql.pass(pauses.at(-1) ?? 0);
    }
    expect(pauses).toEqual([null, null, null, null, 4_800, 9_600, 14_400]);
    const said = '7 rows in a row were refused: it said new';
    expect(await readRefused()).toMatchObject([{ account, said }]);
  });

  it('counts from the beginning once a row is sent', async () => {
    await addDms(6);
    for (let n = 0; n < 4; n++) await attempt(ofRow('too_long'));
    await attempt();
    await attempt(ofRow('too_long'));
    expect(await pausedSeconds()).toBeNull();
  });

  it('pauses the account after five alike with no sent row between, as a model computes from random outcomes', async () => {
    const records: Record<string, Record<string, unknown>> = {
      ...{ a: ofRow('a'), b: ofRow('b'), account: ofAccount },
      ...{ done: {}, unknown: { outcome: 'unknown' }, unsent: { outcome: 'retry' } },
    };
    const outcome = fc.constantFrom('a', 'a', 'a', 'b', 'done', 'unknown', 'unsent', 'account');
    const property = fc.asyncProperty(
      fc.array(outcome, { minLength: 5, maxLength: 14 }),
      async (outcomes) => {
        await database.reset();
        await database.sql('update punctual.queues set batch_limit = null');
        account = await sql.addAccount();
        await addDms(outcomes.length);
        let last: string | null = null;
        let count = 0;
        for (const one of outcomes) {
          expect(await attempt(records[one])).not.toBeNull();
          const isRefusal = one === 'a' || one === 'b' || one === 'account';
          if (isRefusal) count = one === last ? count + 1 : 1;
          if (isRefusal || one === 'done') last = one;
          const pauses = one === 'account' || (isRefusal && count >= 5);
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
    ['row', ofRow('gone')],
    ['account', ofAccount],
  ])('of the %s keeps its place in the gap and the hour, and frees the one in the day', async (_, record) => {
    await setAccounts('hourly_limit = 2, gap_seconds = 60, daily_limit = 1');
    await addDms(4);
    await attempt(record);
    await setAccounts('paused_until = null');
    expect(await sql.pace(account)).toMatchObject({ used: 0, recent: [expect.anything()] });
    sql.pass(59);
    expect(await attempt(record)).toBeNull();
    sql.pass(1);
    expect(await attempt(record)).not.toBeNull();
    await setAccounts('paused_until = null');
    sql.pass(3_500);
    expect(await attempt()).toBeNull();
    sql.pass(40);
    expect(await attempt()).not.toBeNull();
  });
});

describe('a provider that refuses our set-up', () => {
  const note = (count: number) => [{ name: 'unipile', ok: false, refused: count, error: 'wrong key' }];
  const report = (providers: object[]) => sql.tick().exchange({ outcomes: { providers }, close: true });
  const restSeconds = async () => {
    const [row] = await database.sql(`select paused_until from punctual.providers where name = 'unipile'`);
    return secondsTo(row.paused_until);
  };
  /** Adds a row of each of two accounts, and lets the provider refuse the first. */
  async function refuseFirst(count: number) {
    const first = await sql.addDm(account, { send_at: sql.at(-60) });
    const second = await sql.addDm(await sql.addAccount());
    const tick = sql.tick();
    const { claimId } = await tick.claim(1);
    const records = [{ id: first, claim_id: claimId, account_id: account, ...ofProvider }];
    await tick.exchange({ outcomes: { records, providers: note(count) }, close: true });
    return { first, second };
  }

  it('rests twice as long for each call it refuses, even if calls run side by side', async () => {
    for (const [calls, seconds] of [
      [1, 300],
      [1, 600],
      [3, 4_800],
      [40, 14_400],
    ] as const) {
      await report(note(calls));
      expect(await restSeconds()).toBe(seconds);
    }
  });

  it('counts a refusal once if the response to the exchange was lost', async () => {
    const tick = sql.tick();
    for (const _ of ['first', 'again']) await tick.exchange({ seq: 1, outcomes: { providers: note(1) } });
    expect(await restSeconds()).toBe(300);
  });

  it('is tried after its rest with one row, of another account than the one it refused', async () => {
    const { first, second } = await refuseFirst(1);
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
    await refuseFirst(3);
    await endRefusal(null);
    expect(await readRefused()).toEqual([]);
    expect((await sql.tick().claim()).rows).toHaveLength(1);
    expect(await sql.pace(account)).toMatchObject({ refused: null, retry_at: null });
    await expect(endRefusal(null)).rejects.toMatchObject({ code: 'PT404' });
  });

  it('is listed as refused in every queue with its accounts, and not as a failing provider', async () => {
    const [id = ''] = await addDms(1);
    await attempt(ofProvider);
    await report(note(1));
    const until = '2026-03-02T12:05:00+00:00';
    const reason = 'the provider unipile refuses our configuration';
    const stats = await readStats(null);
    expect(stats.providers).toEqual([]);
    expect(queueOf(stats)).toMatchObject({
      refused: [{ provider: 'unipile', account: null, name: null, said: 'wrong key', until }],
      waiting: [{ reason, accounts: 1, until }],
    });
    const wait = { kind: 'provider_resting', until, text: `${reason}: correct it: wrong key` };
    expect((await sql.explain(id)).waits).toContainEqual(wait);
  });
});
