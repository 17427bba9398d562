import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const {
  'GET /find': FIND,
  'POST /queues/:queue/errors/:id/known': KNOWN,
  'GET /queues/:queue/errors/:id': GROUP,
  'GET /queues/:queue/errors': GROUPS,
  'GET /queues/:queue/rows/:id': ROW,
} = queuesApi;

const database = servedDatabase({ UNIPILE_DSN: 'x', UNIPILE_API_KEY: 'y' }, { own: true });
const sql = perTestExchanges(database);
let account: string;
let id: string;

/** Adds a message that was refused. */
beforeEach(async () => {
  sql.setNow(new Date().toISOString());
  account = await sql.addAccount({ name: 'Ada' });
  id = await sql.addDm(account, { recipient: 'bob', chat_id: null, idempotency_key: 'key-1' });
  const tick = sql.tick();
  const { claimId: claim_id } = await tick.claim(1);
  const failure = {
    error: 'unipile answered 422 (e): nobody 7',
    kind: 'rejected',
    code: 'e',
    answer: '{"type":"e"}',
    ms: 90,
  };
  await tick.settle([{ id, claim_id, outcome: 'dead', account_id: account, ...failure }], { close: true });
});

const get = <Params>(
  route: (request: Request, context: { params: Promise<Params> }) => Promise<Response>,
  params: Params,
  query = '',
) => answered(route(apiRequest('GET', `/api/x${query}`), { params: Promise.resolve(params) }));
const row = (queue: string, rowId: string) => get(ROW, { queue, id: rowId });
const groups = (query = '', queue = 'dm_queue') => get(GROUPS, { queue }, query);
const find = (q: string) => get(FIND, {}, `?q=${encodeURIComponent(q)}`);
const known = (group: string, body: unknown) =>
  answered(
    KNOWN(apiRequest('POST', '/api/x', undefined, JSON.stringify(body)), {
      params: Promise.resolve({ queue: 'dm_queue', id: group }),
    }),
  );

describe('GET /api/queues/:queue/rows/:id', () => {
  it('returns the row with its attempts, changes and evidence', async () => {
    const { status, body } = await row('dm_queue', id);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ queue: 'dm_queue', id, status: 'failed', state: 'dead', checks: null, receipts: [] },
      row: { recipient: 'bob', body: 'hello' },
      why: { state: 'dead', waits: [] },
      attempts: [{ outcome: 'dead', kind: 'rejected', code: 'e', duration_ms: 90, answer: '{"type":"e"}' }],
      sent_once: { verdict: 'not_sent', attempts: 0, ids: [] },
    });
  });

  it('leaves out secret columns', async () => {
    await database.sql(`update punctual.queues set secret_columns = '{body}' where name = 'dm_queue'`);
    expect((await row('dm_queue', id)).body.row).not.toHaveProperty('body');
  });

  it('is 404 for an id that does not exist, and names other queues that have it', async () => {
    const { status, body } = await row('posts', id);
    expect(status).toBe(404);
    expect(body.error.message).toBe(
      `there is no row ${id} in posts, or retention has deleted it. Another queue has a row with this id: dm_queue`,
    );
    expect((await row('dm_queue', '999')).body.error.message).not.toContain('Another');
    expect((await row('none', '1')).status).toBe(404);
    expect((await row('dm_queue', 'a b')).status).toBe(404);
  });
});

describe('GET /api/queues/:queue/errors', () => {
  it('lists groups, and reads and marks one', async () => {
    const { status, body } = await groups();
    expect([status, body.next]).toEqual([200, null]);
    expect(body.errors).toMatchObject([{ state: 'new', rows_dead: 1, code: 'e', accounts: 1 }]);
    const group = body.errors[0].id;
    const marked = await known(group, { known: true, note: 'list repaired' });
    expect(marked).toMatchObject({
      status: 200,
      body: { id: group, known_by: 'the API', known_note: 'list repaired' },
    });
    expect((await get(GROUP, { queue: 'dm_queue', id: group })).body).toMatchObject({
      state: 'known',
      samples: [{ id, account: { id: account, name: 'Ada' }, answer: '{"type":"e"}' }],
    });
    expect(await known(group, { known: false })).toMatchObject({ status: 200, body: { known_at: null } });
  });

  it('is 404 for an unknown queue or group, 400 for a cursor of another list, and 422 for an invalid mark', async () => {
    expect((await groups('', 'none')).status).toBe(404);
    expect((await groups('?cursor=x')).status).toBe(400);
    for (const group of ['00000000', 'x']) {
      expect((await get(GROUP, { queue: 'dm_queue', id: group })).status).toBe(404);
      expect((await known(group, { known: true })).status).toBe(404);
    }
    expect((await known('00000000', { known: 'yes' })).status).toBe(422);
  });
});

describe('GET /api/find', () => {
  it('finds rows by id, key or address', async () => {
    for (const [q, by] of [
      [id, 'id'],
      ['key-1', 'key'],
      ['bob', 'address'],
    ] as const) {
      expect(await find(q)).toMatchObject({
        status: 200,
        body: { rows: [{ queue: 'dm_queue', id, state: 'dead', by }] },
      });
    }
    expect(await find('nothing')).toMatchObject({ status: 200, body: { rows: [] } });
  });
});
