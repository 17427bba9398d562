import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../../app/api/dms/[id]/resolve/route.ts';
import { GET } from '../../../app/api/dms/route.ts';
import { signSession } from '../../../lib/http/auth/session.ts';
import { type ListedRow, listedRowSchema } from '../../../lib/store/listed-row.ts';
import { openServedDatabase } from '../../support/api-server.ts';
import { exchanges } from '../../support/exchanges.ts';
import type { TestDatabase } from '../../support/test-database.ts';

const API_KEY = 'api-key-of-this-server';
const PASSWORD = 'password-of-the-dashboard';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;
let account: string;

beforeAll(async () => {
  database = await openServedDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  vi.stubEnv('API_KEY', API_KEY);
  vi.stubEnv('DASHBOARD_PASSWORD', PASSWORD);
  await database.reset();
  await database.sql('delete from punctual.history');
  sql = exchanges(database);
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ann' });
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const withKey: Record<string, string> = { authorization: `Bearer ${API_KEY}` };
const cookie = () => `punctual_session=${signSession(PASSWORD, Date.now())}`;

function list(query: string, headers: Record<string, string> = withKey): Promise<Response> {
  return GET(new Request(`http://app.test/api/dms${query}`, { headers }));
}

async function rows(query: string): Promise<ListedRow[]> {
  const response = await list(query);
  const body = await response.json();
  expect(body.error).toBeUndefined();
  return body.rows.map((row: unknown) => listedRowSchema.parse(row));
}

function resolve(id: string, body: unknown, headers: Record<string, string> = withKey): Promise<Response> {
  const request = new Request(`http://app.test/api/dms/${encodeURIComponent(id)}/resolve`, {
    method: 'POST',
    headers: { host: 'app.test', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return POST(request, { params: Promise.resolve({ id }) });
}

async function refusal(response: Promise<Response>): Promise<[status: number, kind: string]> {
  const { status, ...rest } = await response.then(async (r) => ({ status: r.status, ...(await r.json()) }));
  return [status, rest.error?.kind];
}

/** Adds a message whose attempt ended as unknown. */
async function addUnknown(changes: object = {}): Promise<string> {
  const id = await sql.addDm(account, { ...changes });
  const tick = sql.tick();
  const { claimId } = await tick.claim();
  await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'no answer in time' }]);
  await tick.close();
  sql.pass(1);
  return id;
}

const history = () => database.sql('select event, text from punctual.history order by id');

describe('GET /api/dms', () => {
  it('lists unknown messages with their details, first those that wait for an operator', async () => {
    const body = `${'long '.repeat(1_500)}👋\n`;
    const first = await addUnknown({ body, recipient: 'bob', chat_id: null });
    const second = await addUnknown();
    await database.sql(
      `update punctual.dm_queue set reconcile_at = null,
         reconcile = reconcile || '{"checks": 3, "checked_at": "2026-03-02T12:00:00+00:00", "found": "nothing", "waits_for_operator": true}'
        where id = $1`,
      [second],
    );
    const [waiting, scheduled] = await rows('?status=unknown');
    expect(waiting).toMatchObject({
      id: second,
      status: 'unknown',
      attempts: 1,
      last_error: 'no answer in time',
      account: { id: account, name: 'Ann' },
      reconcile: { checks: 3, next_check_at: null, found: 'nothing', waits_for_operator: true },
    });
    expect(scheduled).toMatchObject({
      id: first,
      reconcile: {
        checks: 0,
        checked_at: null,
        next_check_at: expect.any(String),
        waits_for_operator: false,
      },
      row: { body, recipient: 'bob', channel: 'linkedin', account_id: account },
    });
  });

  it('lists messages of every status, under the queue’s own words', async () => {
    await addUnknown();
    for (const status of ['pending', 'sent', 'failed', 'cancelled']) await sql.addDm(account, { status });
    await sql.addDm(account, { status: 'sending', lease_expires_at: sql.at(60) });
    for (const status of ['pending', 'sending', 'sent', 'failed', 'unknown', 'cancelled'])
      expect((await rows(`?status=${status}`)).map((row) => row.status)).toEqual([status]);
  });

  it('lists 50 messages, or up to the requested limit', async () => {
    for (let n = 0; n < 52; n++) await sql.addDm(account);
    expect(await rows('?status=pending')).toHaveLength(50);
    expect(await rows('?status=pending&limit=2')).toHaveLength(2);
    expect(await rows('?status=pending&limit=200')).toHaveLength(52);
    expect(await rows('?status=unknown')).toEqual([]);
  });

  it.each(['', '?status=', '?status=gone', '?status=Unknown', '?status=%00', '?limit=3'])(
    'returns 400 for the query %j',
    async (query) => {
      const response = await list(query);
      expect(response.status).toBe(400);
      const { error } = await response.json();
      expect(error.errors[0].field).toBe('status');
      expect(error.errors[0].message).toMatch(/\w/);
    },
  );

  it('names the valid statuses if the query has none or an unknown one', async () => {
    for (const query of ['', '?status=gone']) {
      const { error } = await (await list(query)).json();
      expect(error.errors[0].message).toMatch(/pending, sending, sent, failed, unknown, cancelled/);
    }
  });

  it.each(['0', '201', '-1', '1.5', 'all', '', '1e1', '0x10'])(
    'returns 400 for a limit of %j',
    async (limit) => {
      const response = await list(`?status=unknown&limit=${limit}`);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ error: { errors: [{ field: 'limit' }] } });
    },
  );
});

describe('POST /api/dms/:id/resolve', () => {
  it.each(['sent', 'pending', 'failed', 'cancelled'])('makes an unknown message %s', async (decision) => {
    const id = await addUnknown();
    const response = await resolve(id, { decision });
    expect(await response.json()).toEqual({ id, status: decision });
    expect(response.status).toBe(200);
    expect(await sql.dm(id)).toMatchObject({ status: decision });
  });

  it('sends a message again after the decision “pending”', async () => {
    const id = await addUnknown();
    await resolve(id, { decision: 'pending' });
    const { rows: claimed } = await sql.tick().claim();
    expect(claimed.map((row) => row.id)).toEqual([id]);
  });

  it('records the note, and whether the API or the dashboard decided', async () => {
    const [one, two] = [await addUnknown(), await addUnknown()];
    await database.sql('delete from punctual.history');
    await resolve(one, { decision: 'failed', note: 'Bob “never” got it 🤷' });
    await resolve(two, { decision: 'sent' }, { cookie: cookie(), origin: 'http://app.test' });
    const [first, second] = await history();
    expect(first.text).toMatch(/API.*Bob “never” got it 🤷/);
    expect(second.text).toMatch(/dashboard/);
    expect(await sql.dm(one)).toMatchObject({ last_error: 'Bob “never” got it 🤷' });
  });

  it('cancels a message that was not started', async () => {
    const id = await sql.addDm(account);
    expect((await resolve(id, { decision: 'cancelled' })).status).toBe(200);
    expect(await sql.dm(id)).toMatchObject({ status: 'cancelled' });
  });

  it('returns 409 with the message’s status if there is nothing to decide', async () => {
    for (const [status, state] of [
      ['pending', /pending/],
      ['sent', /sent|done/],
      ['failed', /failed|dead/],
    ] as const) {
      const id = await sql.addDm(account, { status });
      const response = await resolve(id, { decision: 'sent' });
      expect(response.status).toBe(409);
      const { error } = await response.json();
      expect(error).toMatchObject({ kind: 'conflict', message: expect.stringMatching(state) });
      expect(await sql.dm(id)).toMatchObject({ status });
    }
  });

  it('accepts the first of two concurrent decisions, and returns 409 for the second', async () => {
    const id = await addUnknown();
    const [one, two] = await Promise.all([
      resolve(id, { decision: 'sent' }),
      resolve(id, { decision: 'pending' }),
    ]);
    expect([one.status, two.status].sort()).toEqual([200, 409]);
    const { status } = await (one.status === 200 ? one : two).json();
    expect(await sql.dm(id)).toMatchObject({ status });
    expect(await refusal(resolve(id, { decision: 'failed' }))).toEqual([409, 'conflict']);
  });

  it('returns 404 for a message that does not exist, and for an invalid id', async () => {
    expect(await refusal(resolve('999', { decision: 'sent' }))).toEqual([404, 'not_found']);
    for (const id of ['x', '-1', '1.5', '9223372036854775808', ''])
      expect(await refusal(resolve(id, { decision: 'sent' }))).toEqual([404, 'not_found']);
  });

  it.each<[name: string, body: unknown, field: string]>([
    ['no decision', {}, 'decision'],
    ['a status that the queue does not have', { decision: 'published' }, 'decision'],
    ['NUL in the decision', { decision: 'sent\0' }, 'decision'],
    ['a decision for the status that it has', { decision: 'unknown' }, 'decision'],
    ['a null decision', { decision: null }, 'decision'],
    ['a note that is not a string', { decision: 'sent', note: 7 }, 'note'],
    ['a note of 1,001 characters', { decision: 'sent', note: 'x'.repeat(1_001) }, 'note'],
    ['NUL in the note', { decision: 'sent', note: '\0' }, 'note'],
    ['half an emoji in the note', { decision: 'sent', note: '\ud83d' }, 'note'],
    ['an unknown field', { decision: 'sent', by: 'eve' }, 'by'],
    ['a string', '"sent"', ''],
    ['an array', [], ''],
  ])('refuses %s, and names the field', async (_name, body, field) => {
    const id = await addUnknown();
    const response = await resolve(id, body);
    expect(response.status).toBe(422);
    const { error } = await response.json();
    expect(error).toMatchObject({ kind: 'invalid', errors: [{ field }] });
    expect(await sql.dm(id)).toMatchObject({ status: 'unknown' });
  });

  it('returns 400 for a body that is not JSON', async () => {
    expect(await refusal(resolve(await addUnknown(), '{'))).toEqual([400, 'invalid_json']);
  });
});
