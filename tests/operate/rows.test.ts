import { beforeEach, describe, expect, it } from 'vitest';
import { endpoints as queuesApi } from '../../lib/api/queues.ts';
import { toHttpError } from '../../lib/http/http-error.ts';
import { explanationSchema } from '../../lib/store/explanation.ts';
import { type ListedRow, listedRowSchema } from '../../lib/store/listed-row.ts';
import { answered, apiRequest } from '../support/api-server.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

const {
  'POST /queues/:queue/rows/:id/resolve': POST,
  'GET /queues/:queue/rows/:id/why': WHY,
  'GET /queues/:queue/rows': LIST,
} = queuesApi;

const WORDS = {
  pending: 'todo',
  running: 'doing',
  done: 'finished',
  dead: 'gave up',
  unknown: 'unclear',
  cancelled: 'dropped',
};

const database = servedDatabase({}, { own: true });
const sql = perTestExchanges(database);

/** Makes a queue of a user's own table, with its own status words and uuids as keys. */
beforeEach(async () => {
  await database.sql('drop schema if exists app cascade');
  await database.sql('create schema app');
  await database.sql(
    'create table app.trials (id uuid primary key default gen_random_uuid(), email text, next_at timestamptz)',
  );
  await database.sql(
    `select punctual.add_queue('trials', 'app.trials', 'next_at', 'at-most-once', p_words => $1)`,
    [WORDS],
  );
  sql.setNow(new Date().toISOString());
});

const list = (queue: string, query: string) =>
  answered(LIST(apiRequest('GET', `/api/x${query}`), { params: Promise.resolve({ queue }) }));
const why = (queue: string, id: string) =>
  answered(WHY(apiRequest('GET', '/api/x'), { params: Promise.resolve({ queue, id }) }));
const resolve = (queue: string, id: string, body: unknown) =>
  answered(
    POST(apiRequest('POST', '/api/x', undefined, JSON.stringify(body)), {
      params: Promise.resolve({ queue, id }),
    }),
  );

async function rows(query: string): Promise<ListedRow[]> {
  const { status, body } = await list('trials', query);
  expect(status).toBe(200);
  return body.rows.map((row: unknown) => listedRowSchema.parse(row));
}

async function addTrial(email = 'bob@example.test'): Promise<string> {
  const [{ id }] = await database.sql(
    `insert into app.trials (email, next_at) values ($1, now() - interval '1 second') returning id`,
    [email],
  );
  return id;
}

/** Adds a trial whose attempt ended as unknown. */
async function addUnknown(): Promise<string> {
  const id = await addTrial();
  const tick = sql.tick({ queue: 'trials' });
  const { claimId } = await tick.claim();
  await tick.settle([{ id, claim_id: claimId, outcome: 'unknown', error: 'no answer in time' }]);
  await tick.close();
  return id;
}

const statusOf = async (id: string) =>
  (await database.sql('select status from app.trials where id = $1', [id]))[0].status;

describe('GET /api/queues/:queue/rows', () => {
  it('lists the rows of a user’s own queue, by its own word or by the state', async () => {
    const id = await addTrial();
    for (const status of ['todo', 'pending']) {
      expect(await rows(`?status=${status}`)).toMatchObject([
        { id, status: 'todo', attempts: 0, account: null, row: { email: 'bob@example.test' } },
      ]);
    }
    for (const status of ['gave%20up', 'dead', 'finished', 'dropped', 'unclear', 'doing'])
      expect(await rows(`?status=${status}`)).toEqual([]);
  });

  it('lists the unknown rows of a queue that has no checks, too', async () => {
    await database.sql(
      `insert into punctual.jobs (name, status, attempts, finished_at, last_error) values ('nap', 'unknown', 1, now(), 'gone')`,
    );
    const { status, body } = await list('jobs', '?status=unknown');
    const row = { status: 'unknown', reconcile: null, row: { name: 'nap' } };
    expect([status, body.rows]).toMatchObject([200, [row]]);
  });

  it.each([
    ['?status=sent', 'there is no status "sent"'],
    ['?status=Todo', 'there is no status "Todo"'],
  ])('answers 400 to %j: %s, and names the valid words', async (query, reason) => {
    const { status, body } = await list('trials', query);
    expect([status, body.error.kind, body.error.errors[0].field]).toEqual([400, 'invalid', 'status']);
    for (const text of [reason, ...Object.values(WORDS)])
      expect(body.error.errors[0].message).toContain(text);
  });

  it.each(['gone', 'Trials', '', 'app.trials', 'trials;', '__proto__'])(
    'answers 404 to the queue %j',
    async (queue) => {
      const error = { kind: 'not_found', message: expect.stringContaining(`"${queue}"`) };
      expect(await list(queue, '?status=pending')).toMatchObject({ status: 404, body: { error } });
    },
  );
});

describe('GET /api/queues/:queue/rows/:id/why', () => {
  it('explains a row of a user’s own queue, in its own words', async () => {
    const id = await addTrial();
    const { status, body } = await why('trials', id);
    expect(status).toBe(200);
    expect(explanationSchema.parse(body)).toMatchObject({
      queue: 'trials',
      id,
      status: 'todo',
      state: 'pending',
      attempts: 0,
      waits: [{ kind: 'tick' }],
    });
  });

  it('answers 404 if the row does not exist or the id does not fit the queue', async () => {
    for (const id of [crypto.randomUUID(), '1', 'x', '', ' ', 'a/b', '%00', 'x'.repeat(101)]) {
      const error = { kind: 'not_found', message: expect.stringContaining(id) };
      expect(await why('trials', id), id).toMatchObject({ status: 404, body: { error } });
    }
    for (const id of [crypto.randomUUID(), '0x1', '1_0', '1e3', '+1', '99999999999999999999'])
      expect((await why('dm_queue', id)).status, id).toBe(404);
    expect((await why('gone', '1')).status).toBe(404);
  });
});

describe('POST /api/queues/:queue/rows/:id/resolve', () => {
  it.each([
    ['finished', 'finished'],
    ['done', 'finished'],
    ['todo', 'todo'],
    ['gave up', 'gave up'],
    ['dead', 'gave up'],
    ['dropped', 'dropped'],
  ])('accepts “%s” for an unknown row, which becomes “%s”', async (decision, word) => {
    const id = await addUnknown();
    const body = { id, status: word };
    expect(await resolve('trials', id, { decision, attempt: 1 })).toEqual({ status: 200, body });
    expect(await statusOf(id)).toBe(word);
  });

  it('cancels a row that has not started', async () => {
    const id = await addTrial();
    const body = { id, status: 'dropped' };
    expect(await resolve('trials', id, { decision: 'cancelled' })).toEqual({ status: 200, body });
  });

  it('answers 409 with the row’s status if there is nothing to decide', async () => {
    const error = { kind: 'conflict', message: expect.stringContaining('todo') };
    const refused = await resolve('trials', await addTrial(), { decision: 'finished' });
    expect(refused).toMatchObject({ status: 409, body: { error } });
    const other = await addUnknown();
    expect((await resolve('trials', other, { decision: 'finished', attempt: 2 })).status).toBe(409);
    expect(await statusOf(other)).toBe('unclear');
  });

  it('answers 409 with the call that retries a dead row', async () => {
    const id = await addUnknown();
    await resolve('trials', id, { decision: 'gave up' });
    const { status, body } = await resolve('trials', id, { decision: 'todo' });
    expect([status, body.error.kind]).toEqual([409, 'conflict']);
    expect(body.error.message).toContain(
      `POST /api/queues/trials/actions with {"action": "retry", "ids": ["${id}"]}`,
    );
  });

  it('names the invalid field, and decides nothing', async () => {
    const id = await addUnknown();
    for (const [field, body] of [
      ['decision', {}],
      // No row can have this attempt.
      ['attempt', { decision: 'finished', attempt: 2_147_483_648 }],
      // A word of another queue, and the word for the row's present status.
      ['decision', { decision: 'sent' }],
      ['decision', { decision: 'unclear' }],
      ['by', { decision: 'finished', by: 'eve' }],
      ['note', { decision: 'finished', note: '\0' }],
    ] as const) {
      const error = { kind: 'invalid', errors: [{ field }] };
      expect(await resolve('trials', id, body), field).toMatchObject({ status: 422, body: { error } });
    }
    expect(await statusOf(id)).toBe('unclear');
  });

  it.each([
    ['trials', crypto.randomUUID()],
    ['trials', '1'],
    ['dm_queue', 'x'],
    ['gone', '1'],
    ['Gone!', '1'],
  ])('answers 404 if the row or the queue does not exist: %s/%s', async (queue, id) => {
    expect((await resolve(queue, id, { decision: 'done' })).status).toBe(404);
  });
});

it('a refusal of the database is recognised by its code, because the error may be of another bundle’s class', () => {
  const error = (code: string) => Object.assign(new Error('said no'), { code });
  expect(toHttpError(error('PT404'))).toMatchObject({ status: 404, message: 'said no' });
  expect(toHttpError(error('PT409'))).toMatchObject({ status: 409, message: 'said no' });
  const errors = [{ field: 'id', message: 'said no' }];
  expect(toHttpError(error('22023'), 'id')).toMatchObject({ status: 422, errors });
  const other = error('57014');
  expect(toHttpError(other)).toBe(other);
});
