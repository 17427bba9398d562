import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { GET as tickByGet, POST as tickByPost } from '../../../app/api/cron/pgmq/route.ts';
import { POST as resolvePost } from '../../../app/api/queues/[queue]/rows/[id]/resolve/route.ts';
import { GET as whyGet } from '../../../app/api/queues/[queue]/rows/[id]/why/route.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { serverEnv } from '../../../lib/services/env.ts';
import { makeServices } from '../../../lib/services/services.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { provideServices } from '../../support/api-server.ts';
import { installPgmq } from '../../support/pgmq-sql.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const SECRET = 'cron-secret-of-this-month';
const API_KEY = 'api-key-of-this-server';
let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
  await installPgmq(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  await database.sql('truncate punctual.messages, punctual.set_aside_messages');
  await database.sql('select pgmq.drop_queue(queue_name) from pgmq.list_queues()');
  vi.stubEnv('CRON_SECRET', SECRET);
  vi.stubEnv('API_KEY', API_KEY);
  const env = serverEnv({ SUPABASE_URL: 'http://127.0.0.1:9', SUPABASE_SERVICE_ROLE_KEY: 'key' });
  const made = await makeServices(env);
  const { rpc } = database;
  const ports = { ...made.ports, log: silentLog, store: queueStore(rpc) };
  provideServices({ ...made, log: silentLog, rpc, ports });
});
afterEach(() => {
  vi.unstubAllEnvs();
  provideServices(null);
});

async function call(query = '', { route = tickByGet, token = SECRET } = {}) {
  const headers = { authorization: `Bearer ${token}`, host: 'app.test' };
  const response = await route(new Request(`http://app.test/api/cron/pgmq${query}`, { headers }));
  return { status: response.status, body: await response.json() };
}

async function add(name: string, more = '') {
  await database.sql('select pgmq.create($1)', [name]);
  await database.sql(`select punctual.add_message_queue('${name}'${more})`);
}

const send = (queue: string, message: object) =>
  database.sql('select pgmq.send($1, $2::jsonb)', [queue, JSON.stringify(message)]);

it('ticks every message queue that has due messages, in one call', async () => {
  await add('mails', `, 'count-words'`);
  await add('orders');
  await add('empty');
  await send('mails', { text: 'so many words' });
  await send('orders', { name: 'count-words', payload: { text: 'and more' } });
  const { status, body } = await call();
  expect([status, body.left]).toEqual([200, []]);
  expect(body.reports).toMatchObject([
    { partition: 'mails', counts: { done: 1 } },
    { partition: 'orders', counts: { done: 1 } },
  ]);
  expect(await database.sql('select message from pgmq.a_mails')).toEqual([
    { message: { text: 'so many words' } },
  ]);
  expect(await call('', { route: tickByPost })).toMatchObject({ status: 200 });
});

it('ticks the named queue alone', async () => {
  await add('mails', `, 'count-words'`);
  await add('orders', `, 'count-words'`);
  await send('mails', { text: 'a' });
  await send('orders', { text: 'b' });
  const { body } = await call('?partition=orders');
  expect(body.reports).toMatchObject([{ partition: 'orders', counts: { done: 1 } }]);
  expect(await database.sql('select count(*)::integer as n from pgmq.q_mails')).toEqual([{ n: 1 }]);
  expect(await call('?partition=others')).toMatchObject({
    status: 404,
    body: { error: { kind: 'not_found', message: expect.stringContaining('mails, orders') } },
  });
});

it('returns 200 if no queue was added, and says how to add one', async () => {
  expect(await call()).toEqual({
    status: 200,
    body: { reports: [], left: [], note: expect.stringContaining('select punctual.add_message_queue(') },
  });
});

it('returns 503 if the extension is turned off, and says how to turn it on', async () => {
  await add('orders');
  await database.sql('alter schema pgmq rename to pgmq_away');
  const response = await call().finally(() => database.sql('alter schema pgmq_away rename to pgmq'));
  expect(response).toMatchObject({
    status: 503,
    body: {
      error: {
        message: expect.stringMatching(
          /pgmq is not turned on \(In Supabase's dashboard: .*create extension pgmq/,
        ),
      },
    },
  });
});

it('explains a set-aside message over HTTP by its id, and sends it back', async () => {
  await add('orders', `, 'count-words'`);
  await send('orders', { words: 1 });
  expect((await call()).body.reports).toMatchObject([{ counts: { dead: 1 } }]);
  const params = Promise.resolve({ queue: 'pgmq', id: 'orders:1' });
  const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  const url = 'http://app.test/api/queues/pgmq/rows/orders:1';
  const why = await whyGet(new Request(`${url}/why`, { headers }), { params });
  expect(await why.json()).toMatchObject({
    status: 'set_aside',
    last_error: expect.stringMatching(/^the payload does not fit/),
  });
  const body = JSON.stringify({ decision: 'pending' });
  const decide = () =>
    resolvePost(new Request(`${url}/resolve`, { method: 'POST', headers, body }), { params });
  expect(await (await decide()).json()).toEqual({ id: 'orders:1', status: 'pending' });
  expect((await decide()).status).toBe(409);
});
