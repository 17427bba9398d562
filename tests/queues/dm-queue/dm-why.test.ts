import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { GET } from '../../../app/api/dms/[id]/why/route.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices } from '../../../lib/services/services.ts';
import { type Explanation, explanationSchema } from '../../../lib/store/explanation.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { provideServices } from '../../support/api-server.ts';
import { exchanges } from '../../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const API_KEY = 'api-key-of-this-server';
const PASSWORD = 'password-of-the-dashboard';

let database: TestDatabase;
let by: ReturnType<typeof exchanges>;
let account: string;

beforeAll(async () => {
  database = await openTestDatabase();
  const made = await makeServices(
    serverEnv({
      SUPABASE_URL: 'http://127.0.0.1',
      SUPABASE_SERVICE_ROLE_KEY: 'key',
      LOG_LEVEL: 'fatal',
      UNIPILE_DSN: 'http://127.0.0.1',
      UNIPILE_API_KEY: 'key',
    }),
  );
  const ports = { ...made.ports, store: queueStore(database.rpc) };
  provideServices({ ...made, rpc: database.rpc, ports });
});
afterAll(async () => {
  provideServices(null);
  await database.close();
});
beforeEach(async () => {
  vi.stubEnv('API_KEY', API_KEY);
  vi.stubEnv('DASHBOARD_PASSWORD', PASSWORD);
  await database.reset();
  by = exchanges(database);
  // The route asks what the time is; the ticks spoken by hand have to mean the same.
  by.setNow(new Date().toISOString());
  account = await by.addAccount({ name: 'Ann' });
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const withKey: Record<string, string> = { authorization: `Bearer ${API_KEY}` };

function ask(id: string, headers: Record<string, string> = withKey): Promise<Response> {
  const request = new Request(`http://app.test/api/dms/${encodeURIComponent(id)}/why`, { headers });
  return GET(request, { params: Promise.resolve({ id }) });
}

async function why(id: string): Promise<Explanation> {
  const response = await ask(id);
  const answer = await response.json();
  expect(answer.error).toBeUndefined();
  expect(response.status).toBe(200);
  return explanationSchema.parse(answer);
}

const kinds = ({ waits }: Explanation) => waits.map(({ kind }) => kind);
const setAccount = (change: string) => database.sql(`update punctual.accounts set ${change}`);

describe('GET /api/dms/:id/why', () => {
  it('says of a due message that the next tick takes it', async () => {
    const explanation = await why(await by.addDm(account));
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

  it('says when a message falls due', async () => {
    const sendAt = by.at(3_600);
    const explanation = await why(await by.addDm(account, { send_at: sendAt }));
    expect(kinds(explanation)).toEqual(['due']);
    for (const at of [explanation.due_at, explanation.waits[0]?.until, explanation.expected_at])
      expect(Date.parse(at ?? '')).toBe(Date.parse(sendAt));
  });

  it.each<[what: string, change: string, kind: string, forEver: boolean]>([
    [
      'the account is paused',
      `paused_until = now() + interval '1 hour', paused_reason = 'asked to'`,
      'paused',
      false,
    ],
    ['the account is paused without end', `paused_until = 'infinity'`, 'paused', true],
    ['nothing may be sent at all', 'daily_limit = 0', 'daily_limit', true],
    ['the account is closed all week', `hours = '{}'`, 'hours', true],
    ['the provider is not configured', `provider = 'whatsapp_cloud'`, 'provider_not_configured', true],
  ])('says that %s', async (_what, change, kind, forEver) => {
    const id = await by.addDm(account);
    await setAccount(change);
    const explanation = await why(id);
    expect(kinds(explanation)).toEqual([kind]);
    expect(explanation.waits[0]?.until === null).toBe(forEver);
    expect(explanation.expected_at === null).toBe(forEver);
  });

  it('says that the queue is paused', async () => {
    const id = await by.addDm(account);
    await database.sql(`update punctual.queues set paused_at = now(), paused_reason = 'holiday'`);
    const explanation = await why(id);
    expect(explanation.waits).toEqual([
      { kind: 'queue_paused', until: null, text: expect.stringContaining('holiday') },
    ]);
  });

  it('says that a message never falls due', async () => {
    const explanation = await why(await by.addDm(account, { send_at: 'infinity' }));
    expect(kinds(explanation)).toEqual(['never_due']);
    expect([explanation.due_at, explanation.expected_at]).toEqual([null, null]);
  });

  it('names those that go first', async () => {
    const before = [];
    for (let n = 12; n > 0; n--) before.push(await by.addDm(account, { send_at: by.at(-n) }));
    const explanation = await why(await by.addDm(account));
    expect(explanation.ahead).toEqual({ count: 12, ids: before.slice(0, 10) });
    expect(kinds(explanation)).toContain('behind');
  });

  it('says how much the gap and the hourly limit hold back, after a message was taken', async () => {
    const [first, second] = [await by.addDm(account), await by.addDm(account)];
    await setAccount('gap_seconds = 600, hourly_limit = 1');
    const tick = by.tick();
    const { rows, claimId } = await tick.claim(1);
    expect(rows.map(({ id }) => id)).toEqual([first]);
    await tick.settle([{ id: first, claim_id: claimId, outcome: 'done' }]);
    const explanation = await why(second);
    expect(kinds(explanation)).toEqual(expect.arrayContaining(['gap', 'hourly_limit']));
    expect(Date.parse(explanation.expected_at ?? '')).toBeGreaterThan(Date.now() + 3_500_000);
    expect(await why(first)).toMatchObject({ state: 'done', status: 'sent', waits: [], expected_at: null });
  });

  it('says which tick is at it', async () => {
    const id = await by.addDm(account);
    const tick = by.tick();
    await tick.claim();
    expect(await why(id)).toMatchObject({
      state: 'running',
      status: 'sending',
      attempts: 1,
      tick: { id: tick.id, scheduler: 'test' },
      lease_expires_at: expect.any(String),
    });
  });

  it('tells what a message has been through, oldest first', async () => {
    const id = await by.addDm(account);
    const behind = await by.addDm(account);
    const tick = by.tick();
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
    by.pass(31);
    const second = await tick.claim();
    await tick.settle([{ id, claim_id: second.claimId, outcome: 'dead', error: 'no such person' }]);
    const dead = await why(id);
    expect(dead).toMatchObject({ state: 'dead', status: 'failed', last_error: 'no such person' });
    expect(dead.history.map(({ event, text }) => [event, text])).toEqual([
      ['retry', 'try later'],
      ['dead', 'no such person'],
    ]);
  });

  it('says of an unknown message when the provider is asked, and then that a person has to decide', async () => {
    const id = await by.addDm(account);
    const tick = by.tick();
    const { claimId } = await tick.claim();
    await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'no answer in time' }]);
    const asked = await why(id);
    expect(kinds(asked)).toEqual(['reconcile']);
    expect(asked.reconcile).toMatchObject({
      checks: 0,
      next_check_at: asked.waits[0]?.until,
      waits_for_operator: false,
    });
    await database.sql('update punctual.dm_queue set reconcile_at = null');
    const waiting = await why(id);
    expect(kinds(waiting)).toEqual(['operator']);
    expect(waiting.reconcile).toMatchObject({ next_check_at: null, waits_for_operator: true });
  });

  it('says of a message that was cancelled that it was', async () => {
    const id = await by.addDm(account, { status: 'cancelled' });
    expect(await why(id)).toMatchObject({ state: 'cancelled', status: 'cancelled', waits: [] });
  });

  it('answers 404 where there is none', async () => {
    const response = await ask('999');
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
  ])('answers 404 to what is no id as well: %j', async (id) => {
    const response = await ask(id);
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { kind: 'not_found' } });
  });

  it('takes the greatest id there can be for one', async () => {
    expect((await ask('9223372036854775807')).status).toBe(404);
  });
});
