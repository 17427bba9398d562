import { beforeAll, beforeEach, expect, it } from 'vitest';
import { GET as tickByGet, POST as tickByPost } from '../../../app/api/cron/pgmq/route.ts';
import { endpoints as queuesApi } from '../../../lib/api/queues.ts';
import { answered, apiRequest, bearer, CRON_SECRET, withKey } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';
import { installPgmq } from '../../support/pgmq-sql.ts';

const { 'POST /queues/:queue/rows/:id/resolve': RESOLVE, 'GET /queues/:queue/rows/:id/why': WHY } = queuesApi;

const database = servedDatabase({}, { own: true });
beforeAll(() => installPgmq(database));
beforeEach(async () => {
  await database.sql('truncate punctual.messages, punctual.set_aside_messages');
  await database.sql('select pgmq.drop_queue(queue_name) from pgmq.list_queues()');
});

const call = (query = '', route = tickByGet) =>
  answered(route(apiRequest('GET', `/api/cron/pgmq${query}`, bearer(CRON_SECRET))));

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
  const reports = ['mails', 'orders'].map((partition) => ({ partition, counts: { done: 1 } }));
  expect(await call()).toMatchObject({ status: 200, body: { reports, left: [] } });
  const archived = await database.sql('select message from pgmq.a_mails');
  expect(archived).toEqual([{ message: { text: 'so many words' } }]);
  expect(await call('', tickByPost)).toMatchObject({ status: 200 });
});

it('ticks the named queue alone', async () => {
  for (const name of ['mails', 'orders']) {
    await add(name, `, 'count-words'`);
    await send(name, { text: 'a' });
  }
  const reports = [{ partition: 'orders', counts: { done: 1 } }];
  expect((await call('?partition=orders')).body).toMatchObject({ reports });
  expect(await database.sql('select msg_id from pgmq.q_mails')).toHaveLength(1);
  const error = { kind: 'not_found', message: expect.stringContaining('mails, orders') };
  expect(await call('?partition=others')).toMatchObject({ status: 404, body: { error } });
});

it('returns 200 if no queue was added, and says how to add one', async () => {
  const note = expect.stringContaining('select punctual.add_message_queue(');
  expect(await call()).toEqual({ status: 200, body: { reports: [], left: [], note } });
});

it('returns 503 if the extension is turned off, and says how to turn it on', async () => {
  await add('orders');
  await database.sql('alter schema pgmq rename to pgmq_away');
  const response = await call().finally(() => database.sql('alter schema pgmq_away rename to pgmq'));
  const message = expect.stringMatching(
    /pgmq is not turned on \(In Supabase's dashboard: .*create extension pgmq/,
  );
  expect(response).toMatchObject({ status: 503, body: { error: { message } } });
});

it('explains a set-aside message over HTTP by its id, and sends it back', async () => {
  await add('orders', `, 'count-words'`);
  await send('orders', { words: 1 });
  expect((await call()).body.reports).toMatchObject([{ counts: { dead: 1 } }]);
  const at = { params: Promise.resolve({ queue: 'pgmq', id: 'orders:1' }) };
  const path = '/api/queues/pgmq/rows/orders:1';
  const last_error = expect.stringMatching(/^the payload does not fit/);
  const why = await answered(WHY(apiRequest('GET', `${path}/why`), at));
  expect(why.body).toMatchObject({ status: 'set_aside', last_error });
  const body = JSON.stringify({ decision: 'pending' });
  const decide = () => answered(RESOLVE(apiRequest('POST', `${path}/resolve`, withKey, body), at));
  expect((await decide()).body).toEqual({ id: 'orders:1', status: 'pending' });
  expect((await decide()).status).toBe(409);
});
