import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as dmsApi } from '../../../lib/api/dms.ts';
import { explanationSchema } from '../../../lib/store/explanation.ts';
import { listedRowSchema } from '../../../lib/store/listed-row.ts';
import { answered, apiRequest, cookie, withKey } from '../../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../../support/fixtures.ts';

const { 'POST /dms/:id/resolve': POST, 'GET /dms/:id/why': WHY, 'GET /dms': GET } = dmsApi;

const database = servedDatabase({ UNIPILE_DSN: 'http://127.0.0.1', UNIPILE_API_KEY: 'key' });
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  // The routes use the database's own time.
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});

const list = (query: string) => answered(GET(apiRequest('GET', `/api/dms${query}`)));
async function rows(query: string) {
  const { status, body } = await list(query);
  expect(status).toBe(200);
  return body.rows.map((row: unknown) => listedRowSchema.parse(row));
}
const one = (id: string) => ({ params: Promise.resolve({ id }) });
async function why(id: string) {
  const { status, body } = await answered(WHY(apiRequest('GET', `/api/dms/${id}/why`), one(id)));
  expect(status).toBe(200);
  return explanationSchema.parse(body);
}
const resolve = (id: string, body: object, headers = withKey) =>
  answered(POST(apiRequest('POST', `/api/dms/${id}/resolve`, headers, JSON.stringify(body)), one(id)));
const addUnknown = async (changes = {}) => (await sql.addUnknown(account, changes)).id;

describe('GET /api/dms', () => {
  it('lists unknown messages with their details, first those that wait for an operator', async () => {
    const body = `${'long '.repeat(1_500)}👋\n`;
    const first = await addUnknown({ body, recipient: 'bob', chat_id: null });
    sql.pass(1);
    const second = await addUnknown();
    await database.sql(
      `update punctual.dm_queue set reconcile_at = null,
         reconcile = reconcile || '{"checks": 3, "checked_at": "2026-03-02T12:00:00+00:00", "found": "nothing", "waits_for_operator": true}'
        where id = $1`,
      [second],
    );
    expect(await rows('?status=unknown')).toMatchObject([
      {
        id: second,
        status: 'unknown',
        attempts: 1,
        last_error: 'no answer in time',
        account: { id: account, name: 'Ann' },
        reconcile: { checks: 3, next_check_at: null, found: 'nothing', waits_for_operator: true },
      },
      {
        id: first,
        reconcile: {
          checks: 0,
          checked_at: null,
          next_check_at: expect.any(String),
          waits_for_operator: false,
        },
        row: { body, recipient: 'bob', channel: 'linkedin', account_id: account },
      },
    ]);
  });

  it('lists messages of every status, under the queue’s own words', async () => {
    await addUnknown();
    for (const status of ['pending', 'sent', 'failed', 'cancelled']) await sql.addDm(account, { status });
    await sql.addDm(account, { status: 'sending', lease_expires_at: sql.at(60) });
    for (const status of ['pending', 'sending', 'sent', 'failed', 'unknown', 'cancelled'])
      expect(await rows(`?status=${status}`)).toMatchObject([{ status }]);
    const { body } = await list('?status=gone');
    expect(body.error.errors[0].message).toMatch(/pending, sending, sent, failed, unknown, cancelled/);
  });
});

describe('GET /api/dms/:id/why', () => {
  it('says when a message is due, if ever, and whether its provider is configured', async () => {
    const id = await sql.addDm(account);
    const due = await why(id);
    const [none, waits] = [{ tick: null, reconcile: null, history: [] }, [{ kind: 'tick' }]];
    const pending = { status: 'pending', state: 'pending', attempts: 0, max_attempts: 5 };
    expect(due).toMatchObject({ queue: 'dm_queue', ...pending, waits, ...none });
    expect(Math.abs(Date.parse(due.expected_at ?? '') - Date.now())).toBeLessThan(10_000);
    const never = await why(await sql.addDm(await sql.addAccount(), { send_at: 'infinity' }));
    expect(never).toMatchObject({ waits: [{ kind: 'never_due' }], due_at: null, expected_at: null });
    await database.sql(`update punctual.accounts set provider = 'whatsapp_cloud'`);
    const notConfigured = { kind: 'provider_not_configured', until: null };
    expect(await why(id)).toMatchObject({ waits: [notConfigured], expected_at: null });
  });

  it('names the messages that go first, the tick that runs one, and the history, oldest first', async () => {
    const [id, behind] = [await sql.addDm(account), await sql.addDm(account)];
    expect(await why(behind)).toMatchObject({ ahead: { count: 1, ids: [id] } });
    const tick = sql.tick();
    const attempt = async (outcome: string, error: string) => {
      const { claimId: claim_id } = await tick.claim();
      expect(await why(id)).toMatchObject({
        state: 'running',
        status: 'sending',
        tick: { id: tick.id, scheduler: 'test' },
        lease_expires_at: expect.any(String),
      });
      await tick.settle([{ id, claim_id, outcome, error, delay_seconds: 30 }]);
      sql.pass(31);
    };
    await attempt('retry', 'try later');
    const held = (text: string) => ({ kind: 'account_retry', until: expect.any(String), text });
    const waits = [held('it failed and is tried again')];
    expect(await why(id)).toMatchObject({ state: 'pending', last_error: 'try later', waits });
    expect((await why(behind)).waits[0]).toEqual(held('its next row failed and is tried again'));
    await attempt('dead', 'no such person');
    const history = [
      { event: 'retry', text: 'try later' },
      { event: 'dead', text: 'no such person' },
    ];
    expect(await why(id)).toMatchObject({ state: 'dead', status: 'failed', waits: [], history });
  });

  it('says when an unknown message is checked, and later that an operator has to decide', async () => {
    const id = await addUnknown();
    const { waits, reconcile } = await why(id);
    expect(waits).toMatchObject([{ kind: 'reconcile' }]);
    const next_check_at = waits[0]?.until;
    expect(reconcile).toMatchObject({ checks: 0, next_check_at, waits_for_operator: false });
    await database.sql('update punctual.dm_queue set reconcile_at = null');
    const waiting = { next_check_at: null, waits_for_operator: true };
    expect(await why(id)).toMatchObject({ waits: [{ kind: 'operator' }], reconcile: waiting });
  });
});

describe('POST /api/dms/:id/resolve', () => {
  it('records the note and who decided', async () => {
    const [one, two] = [await addUnknown(), await addUnknown()];
    await resolve(one, { decision: 'failed', note: 'Bob “never” got it 🤷' });
    await resolve(two, { decision: 'sent' }, { ...cookie(), origin: 'http://app.test' });
    expect((await sql.history(one)).at(-1)?.[1]).toMatch(/API.*Bob “never” got it 🤷/);
    expect((await sql.history(two)).at(-1)?.[1]).toMatch(/^Mira decided/);
    expect(await sql.dm(one)).toMatchObject({ last_error: 'Bob “never” got it 🤷' });
  });

  it('accepts the first of two concurrent decisions, and returns 409 for the second and for later ones', async () => {
    const id = await addUnknown();
    const decisions = await Promise.all(['sent', 'failed'].map((decision) => resolve(id, { decision })));
    expect(decisions.map(({ status }) => status).sort()).toEqual([200, 409]);
    const { body } = decisions.find(({ status }) => status === 200) ?? {};
    expect(await sql.dm(id)).toMatchObject({ status: body.status });
    expect(await resolve(id, { decision: 'cancelled' })).toMatchObject({
      status: 409,
      body: { error: { kind: 'conflict', message: expect.stringContaining(body.status) } },
    });
  });
});
