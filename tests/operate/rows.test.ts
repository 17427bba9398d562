import { beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../app/api/queues/[queue]/rows/[id]/resolve/route.ts';
import { GET as WHY } from '../../app/api/queues/[queue]/rows/[id]/why/route.ts';
import { GET as LIST } from '../../app/api/queues/[queue]/rows/route.ts';
import { toHttpError } from '../../lib/http/http-error.ts';
import { explanationSchema } from '../../lib/store/explanation.ts';
import { type ListedRow, listedRowSchema } from '../../lib/store/listed-row.ts';
import { apiRequest, cookie, withKey } from '../support/api-server.ts';
import { conversations } from '../support/conversations.ts';
import { perTestExchanges, servedDatabase } from '../support/fixtures.ts';

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

function list(queue: string, query: string, headers = withKey): Promise<Response> {
  const request = apiRequest('GET', `/api/queues/${queue}/rows${query}`, headers);
  return LIST(request, { params: Promise.resolve({ queue }) });
}

function why(queue: string, id: string, headers = withKey): Promise<Response> {
  const request = apiRequest('GET', `/api/queues/${queue}/rows/x/why`, headers);
  return WHY(request, { params: Promise.resolve({ queue, id }) });
}

function resolve(queue: string, id: string, body: unknown, headers = withKey): Promise<Response> {
  const path = `/api/queues/${queue}/rows/x/resolve`;
  const request = apiRequest('POST', path, headers, JSON.stringify(body));
  return POST(request, { params: Promise.resolve({ queue, id }) });
}

async function readResponse(pending: Promise<Response>) {
  const response = await pending;
  return { http: response.status, ...(await response.json()) };
}

async function rows(query: string): Promise<ListedRow[]> {
  const { http, rows } = await readResponse(list('trials', query));
  expect(http).toBe(200);
  return rows.map((row: unknown) => listedRowSchema.parse(row));
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
    const { http, rows } = await readResponse(list('jobs', '?status=unknown'));
    expect([http, rows]).toMatchObject([200, [{ status: 'unknown', reconcile: null, row: { name: 'nap' } }]]);
  });

  it('lists as many rows as the limit says, up to 200', async () => {
    for (let n = 0; n < 3; n++) await addTrial();
    expect(await rows('?status=todo&limit=2')).toHaveLength(2);
    expect(await readResponse(list('trials', '?status=todo&limit=201'))).toMatchObject({
      http: 400,
      error: { kind: 'invalid', errors: [{ field: 'limit' }] },
    });
  });

  it('refuses the cursor of another state or queue, and says which one to send', async () => {
    for (let n = 0; n < 3; n++) await addTrial();
    const { next } = await readResponse(list('trials', '?status=todo&limit=2'));
    expect(await rows(`?status=todo&limit=2&cursor=${next}`)).toHaveLength(1);
    for (const [queue, status] of [
      ['trials', 'finished'],
      ['trials', 'doing'],
      ['dm_queue', 'pending'],
    ] as const)
      expect(await readResponse(list(queue, `?status=${status}&cursor=${next}`))).toMatchObject({
        http: 400,
        error: {
          errors: [{ field: 'cursor', message: expect.stringContaining('with the same filters') }],
        },
      });
    const [listName] = JSON.parse(Buffer.from(next, 'base64url').toString());
    const madeUp = Buffer.from(JSON.stringify([listName, 'x', 'y'])).toString('base64url');
    expect(await readResponse(list('trials', `?status=todo&cursor=${madeUp}`))).toMatchObject({ http: 400 });
  });

  it.each([
    ['', 'the status is missing'],
    ['?status=', 'the status is missing'],
    ['?status=sent', 'there is no status "sent"'],
    ['?status=Todo', 'there is no status "Todo"'],
  ])('answers 400 to %j: %s, and names the valid words', async (query, reason) => {
    const { http, error } = await readResponse(list('trials', query));
    expect([http, error.kind, error.errors[0].field]).toEqual([400, 'invalid', 'status']);
    expect(error.errors[0].message).toContain(reason);
    for (const word of Object.values(WORDS)) expect(error.errors[0].message).toContain(word);
  });

  it.each(['gone', 'Trials', '', 'app.trials', 'trials;', '__proto__'])(
    'answers 404 to the queue %j',
    async (queue) => {
      const { http, error } = await readResponse(list(queue, '?status=pending'));
      expect([http, error.kind]).toEqual([404, 'not_found']);
      expect(error.message).toContain(`"${queue}"`);
    },
  );
});

describe('GET /api/queues/:queue/rows/:id/why', () => {
  it('explains a row of a user’s own queue, in its own words', async () => {
    const id = await addTrial();
    const { http, ...body } = await readResponse(why('trials', id));
    expect(http).toBe(200);
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
      const { http, error } = await readResponse(why('trials', id));
      expect([http, error.kind]).toEqual([404, 'not_found']);
      expect(error.message).toContain(id);
    }
    for (const id of [crypto.randomUUID(), '0x1', '1_0', '1e3', '+1', '99999999999999999999'])
      expect(await readResponse(why('dm_queue', id))).toMatchObject({ http: 404 });
    expect(await readResponse(why('gone', '1'))).toMatchObject({ http: 404, error: { kind: 'not_found' } });
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
    expect(await readResponse(resolve('trials', id, { decision, attempt: 1 }))).toEqual({
      http: 200,
      id,
      status: word,
    });
    expect(await statusOf(id)).toBe(word);
  });

  it('cancels a row that has not started', async () => {
    const id = await addTrial();
    expect(await readResponse(resolve('trials', id, { decision: 'cancelled' }))).toEqual({
      http: 200,
      id,
      status: 'dropped',
    });
  });

  it('answers 409 with the row’s status if there is nothing to decide', async () => {
    const id = await addTrial();
    expect(await readResponse(resolve('trials', id, { decision: 'finished' }))).toMatchObject({
      http: 409,
      error: { kind: 'conflict', message: expect.stringContaining('todo') },
    });
    const other = await addUnknown();
    expect(await readResponse(resolve('trials', other, { decision: 'finished', attempt: 2 }))).toMatchObject({
      http: 409,
    });
    expect(await statusOf(other)).toBe('unclear');
  });

  it('answers 409 with the statement that retries a dead row', async () => {
    const id = await addUnknown();
    await resolve('trials', id, { decision: 'gave up' });
    const { http, error } = await readResponse(resolve('trials', id, { decision: 'todo' }));
    expect([http, error.kind]).toEqual([409, 'conflict']);
    const [, statement] = /^the row is gave up \(To retry it, run: (update .+)\)$/.exec(error.message) ?? [];
    await database.sql(statement ?? 'none is named');
    sql.setNow(new Date().toISOString());
    expect((await sql.tick({ queue: 'trials' }).claim()).rows).toMatchObject([{ id, attempt: 1 }]);
  });

  it('names the enrolment to resume for a failed message of a sequence', async () => {
    const talk = conversations(database, sql);
    const account = await sql.addAccount();
    const [enrolment = ''] = await talk.enrol(await talk.addSequence([{ body: 'Hi' }]), [
      { account_id: account, recipient: 'ann' },
    ]);
    await talk.advance();
    await talk.send('dead');
    const [{ id }] = await database.sql(`select id from punctual.dm_queue where status = 'failed'`);
    for (const [queue, row] of [
      ['dm_queue', String(id)],
      ['enrolments', enrolment],
    ] as const)
      expect((await readResponse(resolve(queue, row, { decision: 'pending' }))).error.message).toContain(
        `POST /api/enrolments/${enrolment}/resume`,
      );
  });

  it.each<[label: string, body: unknown, field: string]>([
    ['no decision', {}, 'decision'],
    ['an attempt that no row can have', { decision: 'finished', attempt: 2_147_483_648 }, 'attempt'],
    ['a word of another queue', { decision: 'sent' }, 'decision'],
    ['the word for its present status', { decision: 'unclear' }, 'decision'],
    ['an unknown field', { decision: 'finished', by: 'eve' }, 'by'],
    ['a note that cannot be stored', { decision: 'finished', note: '\0' }, 'note'],
  ])('refuses %s and names the field', async (_label, body, field) => {
    const id = await addUnknown();
    expect(await readResponse(resolve('trials', id, body))).toMatchObject({
      http: 422,
      error: { kind: 'invalid', errors: [{ field }] },
    });
    expect(await statusOf(id)).toBe('unclear');
  });

  it('answers 404 if the row or the queue does not exist', async () => {
    for (const [queue, id] of [
      ['trials', crypto.randomUUID()],
      ['trials', '1'],
      ['dm_queue', 'x'],
      ['gone', '1'],
      ['Gone!', '1'],
    ] as const)
      expect(await readResponse(resolve(queue, id, { decision: 'done' }))).toMatchObject({ http: 404 });
  });
});

describe('a refusal of the database', () => {
  it('is recognised by its code, because the error may be of another bundle’s class', () => {
    const error = (code: string) => Object.assign(new Error('said no'), { code });
    expect(toHttpError(error('PT404'))).toMatchObject({ status: 404, message: 'said no' });
    expect(toHttpError(error('PT409'))).toMatchObject({ status: 409, message: 'said no' });
    expect(toHttpError(error('22023'), 'id')).toMatchObject({
      status: 422,
      errors: [{ field: 'id', message: 'said no' }],
    });
    const other = error('57014');
    expect(toHttpError(other)).toBe(other);
  });
});

describe('a caller may', () => {
  it('read with the key or the cookie, and without either on an open dashboard in development', async () => {
    const id = await addTrial();
    const read = async (headers: Record<string, string>) => [
      (await list('trials', '?status=todo', headers)).status,
      (await why('trials', id, headers)).status,
    ];
    expect(await read(withKey)).toEqual([200, 200]);
    expect(await read(cookie())).toEqual([200, 200]);
    expect(await read({ authorization: 'Bearer guess' })).toEqual([401, 401]);
    vi.stubEnv('DASHBOARD_PASSWORD', '');
    expect(await read({})).toEqual([200, 200]);
    vi.stubEnv('NODE_ENV', 'production');
    expect(await read({})).toEqual([401, 401]);
  });

  it('decide with the cookie only on our own pages, and not without credentials', async () => {
    const id = await addUnknown();
    const decide = async (headers: Record<string, string>) =>
      (await resolve('trials', id, { decision: 'finished' }, headers)).status;
    expect(await decide({})).toBe(401);
    expect(await decide({ ...cookie(), origin: 'http://evil.test' })).toBe(403);
    expect(await decide({ ...cookie(), origin: 'http://app.test' })).toBe(200);
  });
});
