import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../../app/api/dms/[id]/why/route.ts';
import { type Explanation, explanationSchema } from '../../../lib/store/explanation.ts';
import { openServedDatabase } from '../../support/api-server.ts';
import { exchanges } from '../../support/exchanges.ts';
import type { TestDatabase } from '../../support/test-database.ts';

const API_KEY = 'api-key-of-this-server';
const PASSWORD = 'password-of-the-dashboard';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let account: string;

beforeAll(async () => {
  database = await openServedDatabase({
    UNIPILE_DSN: 'http://127.0.0.1',
    UNIPILE_API_KEY: 'key',
  });
});
afterAll(() => database.close());
beforeEach(async () => {
  vi.stubEnv('API_KEY', API_KEY);
  vi.stubEnv('DASHBOARD_PASSWORD', PASSWORD);
  await database.reset();
  sql = exchanges(database);
  // The route reads the real time, so the test's own exchanges have to use it too.
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const withKey: Record<string, string> = { authorization: `Bearer ${API_KEY}` };

function get(id: string, headers: Record<string, string> = withKey): Promise<Response> {
  const request = new Request(`http://app.test/api/dms/${encodeURIComponent(id)}/why`, { headers });
  return GET(request, { params: Promise.resolve({ id }) });
}

async function why(id: string): Promise<Explanation> {
  const response = await get(id);
  const body = await response.json();
  expect(body.error).toBeUndefined();
  expect(response.status).toBe(200);
  return explanationSchema.parse(body);
}

const kinds = ({ waits }: Explanation) => waits.map(({ kind }) => kind);
const setAccount = (change: string) => database.sql(`update punctual.accounts set ${change}`);

describe('GET /api/dms/:id/why', () => {
  it('says that the next tick claims a due message', async () => {
    const explanation = await why(await sql.addDm(account));
    expect(explanation).toMatchObject({
      queue: 'dm_queue',
      status: 'pending',
      state: 'pending',
      attempts: 0,
      max_attempts: 5,
      tick: null,
      reconcile: null,
      history: [],
    });
    expect(kinds(explanation)).toEqual(['tick']);
    expect(Math.abs(Date.parse(explanation.expected_at ?? '') - Date.now())).toBeLessThan(10_000);
  });

  it('says when a message is due', async () => {
    const sendAt = sql.at(3_600);
    const explanation = await why(await sql.addDm(account, { send_at: sendAt }));
    expect(kinds(explanation)).toEqual(['due']);
    for (const at of [explanation.due_at, explanation.waits[0]?.until, explanation.expected_at])
      expect(Date.parse(at ?? '')).toBe(Date.parse(sendAt));
  });

  it.each<[name: string, change: string, kind: string, forEver: boolean]>([
    [
      'the account is paused',
      `paused_until = now() + interval '1 hour', paused_reason = 'asked to'`,
      'paused',
      false,
    ],
    ['the account is paused for ever', `paused_until = 'infinity'`, 'paused', true],
    ['the account’s daily limit is 0', 'daily_limit = 0', 'daily_limit', true],
    ['the account has no sending hours', `hours = '{}'`, 'hours', true],
    ['the provider is not configured', `provider = 'whatsapp_cloud'`, 'provider_not_configured', true],
  ])('says that %s', async (_name, change, kind, forEver) => {
    const id = await sql.addDm(account);
    await setAccount(change);
    const explanation = await why(id);
    expect(kinds(explanation)).toEqual([kind]);
    expect(explanation.waits[0]?.until === null).toBe(forEver);
    expect(explanation.expected_at === null).toBe(forEver);
  });

  it('says that the queue is paused', async () => {
    const id = await sql.addDm(account);
    await database.sql(`update punctual.queues set paused_at = now(), paused_reason = 'holiday'`);
    const explanation = await why(id);
    expect(explanation.waits).toEqual([
      { kind: 'queue_paused', until: null, text: expect.stringContaining('holiday') },
    ]);
  });

  it('says that a message is never due', async () => {
    const explanation = await why(await sql.addDm(account, { send_at: 'infinity' }));
    expect(kinds(explanation)).toEqual(['never_due']);
    expect([explanation.due_at, explanation.expected_at]).toEqual([null, null]);
  });

  it('names the messages that go first', async () => {
    const before = [];
    for (let n = 12; n > 0; n--) before.push(await sql.addDm(account, { send_at: sql.at(-n) }));
    const explanation = await why(await sql.addDm(account));
    expect(explanation.ahead).toEqual({ count: 12, ids: before.slice(0, 10) });
    expect(kinds(explanation)).toContain('behind');
  });

  it('says that the gap and the hourly limit hold a message after another was sent', async () => {
    const [first, second] = [await sql.addDm(account), await sql.addDm(account)];
    await setAccount('gap_seconds = 600, hourly_limit = 1');
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    expect(rows.map(({ id }) => id)).toEqual([first]);
    await tick.settle([{ id: first, claim_id: claimId, outcome: 'done' }]);
    const explanation = await why(second);
    expect(kinds(explanation)).toEqual(expect.arrayContaining(['gap', 'hourly_limit']));
    expect(Date.parse(explanation.expected_at ?? '')).toBeGreaterThan(Date.now() + 3_500_000);
    expect(await why(first)).toMatchObject({ state: 'done', status: 'sent', waits: [], expected_at: null });
  });

  it('names the tick that runs a message', async () => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    await tick.claim();
    expect(await why(id)).toMatchObject({
      state: 'running',
      status: 'sending',
      attempts: 1,
      tick: { id: tick.id, scheduler: 'test' },
      lease_expires_at: expect.any(String),
    });
  });

  it('lists the history of a message, oldest first', async () => {
    const id = await sql.addDm(account);
    const behind = await sql.addDm(account);
    const tick = sql.tick();
    const first = await tick.claim();
    await tick.settle([
      { id, claim_id: first.claimId, outcome: 'retry', error: 'try later', delay_seconds: 30 },
    ]);
    const retried = await why(id);
    expect(retried).toMatchObject({ state: 'pending', attempts: 1, last_error: 'try later' });
    const until = expect.any(String);
    expect(retried.waits).toEqual([{ kind: 'account_retry', until, text: 'it failed and is tried again' }]);
    expect((await why(behind)).waits[0]).toEqual({
      kind: 'account_retry',
      until,
      text: 'its next row failed and is tried again',
    });
    sql.pass(31);
    const second = await tick.claim();
    await tick.settle([{ id, claim_id: second.claimId, outcome: 'dead', error: 'no such person' }]);
    const dead = await why(id);
    expect(dead).toMatchObject({ state: 'dead', status: 'failed', last_error: 'no such person' });
    expect(dead.history.map(({ event, text }) => [event, text])).toEqual([
      ['retry', 'try later'],
      ['dead', 'no such person'],
    ]);
  });

  it('says when an unknown message is checked, and later that an operator has to decide', async () => {
    const id = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'no answer in time' }]);
    const checked = await why(id);
    expect(kinds(checked)).toEqual(['reconcile']);
    expect(checked.reconcile).toMatchObject({
      checks: 0,
      next_check_at: checked.waits[0]?.until,
      waits_for_operator: false,
    });
    await database.sql('update punctual.dm_queue set reconcile_at = null');
    const waiting = await why(id);
    expect(kinds(waiting)).toEqual(['operator']);
    expect(waiting.reconcile).toMatchObject({ next_check_at: null, waits_for_operator: true });
  });

  it('says that a message is cancelled', async () => {
    const id = await sql.addDm(account, { status: 'cancelled' });
    expect(await why(id)).toMatchObject({ state: 'cancelled', status: 'cancelled', waits: [] });
  });

  it('returns 404 if the message does not exist', async () => {
    const response = await get('999');
    expect(response.status).toBe(404);
    const { error } = await response.json();
    expect(error.kind).toBe('not_found');
    expect(error.message).toContain('999');
  });

  it.each([
    'x',
    '1x',
    '-1',
    '1.5',
    '',
    ' 1',
    '0x1',
    '1e3',
    '9223372036854775808',
    '1'.repeat(20),
    '1; drop table x',
  ])('returns 404 for the invalid id %j', async (id) => {
    const response = await get(id);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { kind: 'not_found' } });
  });

  it('returns 404 for the largest possible id', async () => {
    expect((await get('9223372036854775807')).status).toBe(404);
  });
});
