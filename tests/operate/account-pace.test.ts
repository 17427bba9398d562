import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as accountsApi } from '../../lib/api/accounts.ts';
import { answered, apiRequest, cookie } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const {
  'POST /accounts/:id/pause': PAUSE,
  'POST /accounts/:id/resume': RESUME,
  'GET /accounts/:id': GET,
} = accountsApi;

const database = servedDatabase();
const sql = perTestExchanges(database);
let account: string;

beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ daily_limit: 3 });
});

const headers = { ...cookie('Mira'), origin: 'http://app.test' };
type Route = (request: Request, context: { params: Promise<{ id: string }> }) => Promise<Response>;
const call = (route: Route, method: string, body?: object, id = account) =>
  answered(
    route(apiRequest(method, `/api/accounts/${id}`, headers, body && JSON.stringify(body)), {
      params: Promise.resolve({ id }),
    }),
  );
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const readAt = (p_now: string): Promise<any> => database.rpc('read_account', { p_id: account, p_now });
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const ofDms = (read: any) => read.pace.find(({ queue }: { queue: string }) => queue === 'dm_queue');
const acts = () => database.sql('select act, by, target, details from punctual.audit order by id');
const iso = (at: string | null) => at && new Date(at).toISOString();

describe('GET /api/accounts/:id', () => {
  it('returns the account with its pace in each queue', async () => {
    const { status, body } = await call(GET, 'GET');
    expect([status, body.id, body.refused]).toEqual([200, account, null]);
    const idle = { used: 0, limit: 3, left: 3, waits: [], due: 0, next_due_at: null, next_send_at: null };
    const opens_at = expect.any(String);
    expect(body.pace).toEqual([
      { queue: 'dm_queue', ...idle, opens_at },
      { queue: 'posts', ...idle, opens_at },
    ]);
  });

  it('counts what was sent today, and what is due', async () => {
    sql.setNow('2026-03-02T12:00:00Z');
    for (let n = 0; n < 5; n++) await sql.addDm(account);
    await sql.addDm(account, { send_at: sql.at(3_600), priority: 0 });
    await sql.addDm(account, { status: 'sent' });
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    const [row] = rows;
    await tick.settle([{ id: row?.id ?? '', claim_id: claimId, outcome: 'done', account_id: account }], {
      close: true,
    });
    const read = ofDms(await readAt(sql.now));
    expect(read).toMatchObject({ used: 1, limit: 3, left: 2, due: 4, waits: [] });
    expect([iso(read.next_due_at), iso(read.next_send_at)]).toEqual([sql.at(3_600), sql.now]);
    await sql.drain();
    const over = ofDms(await readAt(sql.now));
    expect(over).toMatchObject({ used: 3, left: 0, due: 2, waits: [{ kind: 'daily_limit' }] });
    expect(iso(over.next_send_at)).toBe('2026-03-03T00:00:00.000Z');
    expect(ofDms(await readAt('2026-03-03T00:00:00Z'))).toMatchObject({
      used: 0,
      left: 3,
      due: 3,
      waits: [],
    });
  });

  it('returns 404 for an account that does not exist', async () => {
    for (const id of ['x', crypto.randomUUID()]) {
      expect((await call(GET, 'GET', undefined, id)).status).toBe(404);
      expect((await call(PAUSE, 'POST', { reason: 'x' }, id)).status).toBe(404);
      expect((await call(RESUME, 'POST', undefined, id)).status).toBe(404);
    }
  });
});

describe('a pause of an account', () => {
  const sendable = async () => {
    const tick = sql.tick();
    const { rows } = await tick.claim();
    await tick.close();
    return rows.length;
  };

  it('ends when it says, and names who set it', async () => {
    await sql.addDm(account);
    const until = sql.at(3_600);
    const { status, body } = await call(PAUSE, 'POST', { reason: 'asked to', until });
    expect([status, iso(body.paused_until), body.paused_reason]).toEqual([200, until, 'asked to']);
    expect(iso(ofDms(body).next_send_at)).toBe(until);
    expect(await sendable()).toBe(0);
    sql.pass(3_600);
    expect(await sendable()).toBe(1);
    expect(await acts()).toEqual([
      {
        act: 'pause_account',
        by: 'Mira',
        target: account,
        details: {
          before: { paused_until: null, paused_reason: null },
          after: { paused_until: expect.any(String), paused_reason: 'asked to' },
        },
      },
    ]);
  });

  it('without an end lasts until somebody resumes', async () => {
    await sql.addDm(account);
    const paused = await call(PAUSE, 'POST', { reason: 'asked to' });
    expect(paused.body).toMatchObject({ paused_until: 'infinity', paused_reason: 'asked to' });
    expect(ofDms(paused.body)).toMatchObject({
      opens_at: null,
      next_send_at: null,
      due: 1,
      waits: [{ until: null }],
    });
    sql.pass(86_400);
    expect(await sendable()).toBe(0);
    expect((await call(RESUME, 'POST')).body).toMatchObject({ paused_until: null, paused_reason: null });
    expect(await sendable()).toBe(1);
    await call(RESUME, 'POST');
    expect((await acts()).map(({ act }) => act)).toEqual(['pause_account', 'resume_account']);
  });

  it.each<[body: object, field: string]>([
    [{}, 'reason'],
    [{ reason: 'x', until: '2020-01-01T00:00:00Z' }, 'until'],
    [{ reason: 'x', name: 'y' }, 'name'],
  ])('is refused as %j', async (body, field) => {
    const errors = [{ field }];
    expect(await call(PAUSE, 'POST', body)).toMatchObject({ status: 422, body: { error: { errors } } });
  });
});
