import { describe, expect, it } from 'vitest';
import { GET as tickByGet, POST as tickByPost } from '../../../app/api/cron/jobs/route.ts';
import { DELETE, GET } from '../../../app/api/jobs/[id]/route.ts';
import { POST } from '../../../app/api/jobs/route.ts';
import { POST as RUN } from '../../../app/api/jobs/run/route.ts';
import type { InsertedRow } from '../../../lib/http/input/insert-many.ts';
import { createJob, createJobs } from '../../../lib/queues/jobs/create-job.ts';
import { getJob } from '../../../lib/queues/jobs/get-job.ts';
import { JobInputError } from '../../../lib/queues/jobs/job-input-error.ts';
import { apiRequest, bearer, CRON_SECRET, type RequestHeaders } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';

const database = servedDatabase({}, { password: '' });

const post = (body: unknown, headers?: RequestHeaders) =>
  POST(apiRequest('POST', '/api/jobs', headers, typeof body === 'string' ? body : JSON.stringify(body)));
const at = (id: string) => ({ params: Promise.resolve({ id }) });
const read = (id: string, headers?: RequestHeaders) =>
  GET(apiRequest('GET', `/api/jobs/${id}`, headers), at(id));
const cancel = (id: string, headers?: RequestHeaders) =>
  DELETE(apiRequest('DELETE', `/api/jobs/${id}`, headers), at(id));
const run = (query = '', headers?: RequestHeaders) =>
  RUN(apiRequest('POST', `/api/jobs/run${query}`, headers));
const cron = (query = '', headers = bearer(CRON_SECRET), route = tickByGet) =>
  route(apiRequest('GET', `/api/cron/jobs${query}`, headers));

const words = (changes: object = {}) => ({ name: 'count-words', payload: { text: 'a b' }, ...changes });

async function create(...jobs: object[]): Promise<string[]> {
  const response = await post(jobs);
  const body = await response.json();
  expect(body.error).toBeUndefined();
  return body.rows.map(({ id }: InsertedRow) => id);
}
async function statusOf(id: string | undefined): Promise<string | undefined> {
  return (await getJob(String(id)))?.status;
}
async function count(): Promise<number> {
  const [{ n }] = await database.sql('select count(*)::integer as n from punctual.jobs');
  return n;
}
/** Returns the errors as [index, field, message], and expects that nothing was created. */
async function refusal(body: unknown): Promise<[index: number | null, field: string, message: string][]> {
  const response = await post(body);
  const { error } = await response.json();
  expect({ status: response.status, kind: error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await count()).toBe(0);
  return error.errors.map((fault: { index: number | null; field: string; message: string }) => [
    fault.index,
    fault.field,
    fault.message,
  ]);
}

describe('POST /api/jobs', () => {
  it('creates a job, due at once, in the queue default', async () => {
    const response = await post(words());
    expect(response.status).toBe(201);
    const { rows } = await response.json();
    expect(rows).toEqual([{ id: expect.stringMatching(/^\d+$/), status: 'pending', created: true }]);
    const job = await (await read(rows[0].id)).json();
    expect(job).toEqual({
      id: rows[0].id,
      name: 'count-words',
      queue: 'default',
      status: 'pending',
      payload: { text: 'a b' },
      run_at: expect.any(String),
      priority: 1,
      attempts: 0,
      max_attempts: 5,
      timeout_seconds: 15,
      progress: null,
      result: null,
      last_error: null,
      unique_key: null,
      created_at: expect.any(String),
      started_at: null,
      finished_at: null,
    });
    expect(Math.abs(Date.parse(job.run_at) - Date.now())).toBeLessThan(10_000);
  });

  it('stores every field as it was sent', async () => {
    const full = {
      name: 'nap',
      payload: { seconds: 2.5 },
      queue: 'emails_2-x',
      run_at: '2030-07-01T09:30:00+02:00',
      priority: 0,
      unique_key: 'order 7 / ü',
      unique_seconds: 60,
      max_attempts: 7,
      timeout_seconds: 4,
      expires_at: '2030-07-01T12:00:00Z',
    };
    const [id] = await create(full);
    const { run_at, expires_at, unique_seconds, ...same } = full;
    const [row] = await database.sql('select * from punctual.jobs where id = $1', [id]);
    expect(row).toMatchObject(same);
    expect(Date.parse(row.run_at)).toBe(Date.parse(run_at));
    expect(Date.parse(row.expires_at)).toBe(Date.parse(expires_at));
    expect(Date.parse(row.unique_until) - Date.parse(row.created_at)).toBe(unique_seconds * 1_000);
  });

  it('returns 200 and the job that has the key if no job is new', async () => {
    const [id] = await create(words({ unique_key: 'k' }));
    const response = await post(words({ unique_key: 'k', payload: { text: 'other' } }));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ rows: [{ id, status: 'pending', created: false }] });
    expect((await post([words({ unique_key: 'k' }), words()])).status).toBe(201);
  });

  it('refuses unknown names, and lists the known ones', async () => {
    const [[index, field, message] = []] = await refusal(words({ name: 'count-sheep' }));
    expect([index, field]).toEqual([0, 'name']);
    expect(message).toMatch(/^this deployment has no job "count-sheep"; it has .*count-words.*nap/);
    for (const name of ['constructor', '__proto__', 'toString', '', 'Count-Words']) {
      expect(await refusal(words({ name }))).toMatchObject([[0, 'name', expect.any(String)]]);
    }
  });

  it.each<[name: string, body: object, fault: [field: string, message: RegExp]]>([
    ['a payload of the wrong type', words({ payload: { text: 7 } }), ['payload.text', /string/]],
    ['a payload with an extra field', words({ payload: { text: '', more: 1 } }), ['payload.more', /more/]],
    ['a missing payload', { name: 'count-words' }, ['payload.text', /./]],
    ['a null payload', words({ payload: null }), ['payload', /./]],
    [
      'a character that cannot be stored',
      words({ payload: { text: 'a\0' } }),
      ['payload', /cannot be stored/],
    ],
    ['half a surrogate pair', words({ payload: { text: '\ud800' } }), ['payload', /cannot be stored/]],
    [
      'more than 256 KB',
      words({ payload: { text: 'x'.repeat(300_000) } }),
      ['payload', /^is 300011 bytes of JSON; the limit is 262144 bytes$/],
    ],
    ['the queue failed', words({ queue: 'failed' }), ['queue', /stays in its own queue/]],
    ['an invalid queue name', words({ queue: 'E-Mails' }), ['queue', /not a valid queue name/]],
    ['a queue name of 41 characters', words({ queue: 'q'.repeat(41) }), ['queue', /not a valid queue name/]],
    ['a date without a time', words({ run_at: '2030-01-01' }), ['run_at', /./]],
    ['a priority of 4', words({ priority: 4 }), ['priority', /./]],
    ['a window without a key', words({ unique_seconds: 5 }), ['unique_seconds', /needs a unique_key/]],
    ['an empty key', words({ unique_key: '' }), ['unique_key', /is empty/]],
    ['zero attempts', words({ max_attempts: 0 }), ['max_attempts', /./]],
    ['a timeout of 0 s', words({ timeout_seconds: 0 }), ['timeout_seconds', /./]],
    [
      'a timeout longer than the code allows',
      words({ timeout_seconds: 31 }),
      ['timeout_seconds', /^is 31; count-words may take at most 30 s$/],
    ],
    [
      'a timeout longer than the queue allows',
      words({ timeout_seconds: 16 }),
      ['timeout_seconds', /^is 16; the queue default gives a job 15 s at most$/],
    ],
    ['an unknown field', words({ delay: 5 }), ['delay', /./]],
    ['no name', { payload: {} }, ['name', /./]],
  ])('refuses %s', async (_name, body, [field, message]) => {
    expect(await refusal(body)).toEqual([[0, field, expect.stringMatching(message)]]);
  });

  it('creates all or none, and names every fault of every job', async () => {
    const faults = await refusal([words(), words({ payload: {}, priority: 9 }), 'nap', words({ name: 'x' })]);
    expect(faults.map(([index, field]) => [index, field])).toEqual([
      [1, 'priority'],
      [1, 'payload.text'],
      [2, ''],
      [3, 'name'],
    ]);
  });

  it('returns 422 for a payload nested 50,000 levels deep', async () => {
    const response = await post(`{"name":"nap","payload":${'['.repeat(50_000)}${']'.repeat(50_000)}}`);
    expect(response.status).toBe(422);
  });
});

describe('createJob and getJob', () => {
  it('create a job with a typed payload, and read it', async () => {
    const runAt = new Date('2030-01-01T00:00:00Z');
    const created = await createJob('count-words', { payload: { text: 'a b' }, run_at: runAt, priority: 2 });
    expect(created).toEqual({ id: expect.any(String), status: 'pending', created: true });
    const job = await getJob(created.id);
    expect(job).toMatchObject({ name: 'count-words', payload: { text: 'a b' }, priority: 2 });
    expect(Date.parse(job?.run_at ?? '')).toBe(runAt.getTime());
  });

  it('accept only known names and valid payloads, at compile time and at run time', async () => {
    // @ts-expect-error: there is no such job
    await expect(createJob('count-sheep', { payload: {} })).rejects.toThrow(JobInputError);
    // @ts-expect-error: text is not a number
    await expect(createJob('count-words', { payload: { text: 7 } })).rejects.toThrow('payload.text: ');
    // @ts-expect-error: there is no payload
    await expect(createJob('count-words', {})).rejects.toThrow('payload.text: ');
    const error = await createJob('nap', { payload: { seconds: -1 }, queue: 'Z' }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(JobInputError);
    expect(error.faults).toMatchObject([
      { index: null, field: 'queue' },
      { index: null, field: 'payload.seconds' },
    ]);
  });

  it('refuse an invalid date', async () => {
    const run_at = new Date(Number.NaN);
    await expect(createJob('nap', { payload: { seconds: 1 }, run_at })).rejects.toThrow('run_at: ');
  });

  it('create many jobs, all or none', async () => {
    const two = await createJobs([
      { name: 'nap', payload: { seconds: 1 } },
      { name: 'count-words', payload: { text: '' }, unique_key: 'k' },
    ]);
    expect(two.map(({ created }) => created)).toEqual([true, true]);
    const creation = createJobs([
      { name: 'nap', payload: { seconds: 1 } },
      { name: 'nap', payload: { seconds: 0 } },
    ]);
    await expect(creation).rejects.toThrow('job 1: payload.seconds: ');
    expect(await count()).toBe(2);
  });

  it('return null for a job that does not exist', async () => {
    for (const id of ['1', '0', 'x', '', '9'.repeat(30), crypto.randomUUID()])
      expect(await getJob(id)).toBeNull();
  });
});

describe('GET and DELETE /api/jobs/:id', () => {
  it('return 404 for a job that does not exist', async () => {
    for (const id of ['77', 'x', '-1', '9'.repeat(19), crypto.randomUUID()]) {
      expect((await read(id)).status).toBe(404);
      expect((await cancel(id)).status).toBe(404);
    }
  });

  it('cancel a pending job, once', async () => {
    const [id = ''] = await create(words());
    const response = await cancel(id);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ id, status: 'cancelled' });
    await cron();
    expect(await getJob(id)).toMatchObject({ status: 'cancelled', attempts: 0 });
    expect((await cancel(id)).status).toBe(409);
  });

  it.each(['running', 'done', 'failed'])('do not cancel a job that is %s, and return 409', async (status) => {
    const [id = ''] = await create(words());
    await database.sql('update punctual.jobs set status = $1, lease_expires_at = now()', [status]);
    const response = await cancel(id);
    expect(response.status).toBe(409);
    const { error } = await response.json();
    expect(error).toMatchObject({
      kind: 'conflict',
      message: `the job is ${status}: only a pending job can be cancelled`,
    });
    expect(await statusOf(id)).toBe(status);
  });
});

describe('/api/cron/jobs', () => {
  it('ticks every queue that has due jobs', async () => {
    const ids = await create(words(), words({ queue: 'emails' }), words({ queue: 'blocking' }));
    const response = await cron();
    expect(response.status).toBe(200);
    const { reports, left } = await response.json();
    expect(left).toEqual([]);
    expect(reports.map(({ partition }: { partition: string }) => partition).sort()).toEqual([
      'blocking',
      'default',
      'emails',
    ]);
    for (const id of ids) {
      expect(await getJob(id)).toMatchObject({
        status: 'done',
        attempts: 1,
        result: { words: 2, characters: 3, lines: 1 },
        started_at: expect.any(String),
        finished_at: expect.any(String),
      });
    }
  });

  it('leaves failed jobs alone, and redrives each of them with ?partition=failed', async () => {
    const [id] = await create({ name: 'fail-first', payload: { times: 1 }, max_attempts: 1 });
    await cron('', bearer(CRON_SECRET), tickByPost);
    expect(await getJob(String(id))).toMatchObject({ status: 'failed', attempts: 1 });
    await cron();
    expect(await getJob(String(id))).toMatchObject({ status: 'failed', attempts: 1 });
    const response = await cron('?partition=failed');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ reports: [{ partition: 'default' }], left: [] });
    expect(await getJob(String(id))).toMatchObject({ status: 'done', attempts: 2 });
  });

  it('ticks one queue by its name, and returns 404 for an unknown one', async () => {
    const [one, other] = await create(words(), words({ queue: 'emails' }));
    await cron('?partition=emails');
    expect([await statusOf(one), await statusOf(other)]).toEqual(['pending', 'done']);
    expect((await cron('?partition=letters')).status).toBe(404);
  });
});

describe('POST /api/jobs/run', () => {
  it('runs one due job of any queue', async () => {
    const ids = await create(words(), words({ queue: 'emails' }));
    const response = await run();
    expect(response.status).toBe(200);
    const { reports } = await response.json();
    expect(reports).toMatchObject([{ scheduler: 'api', counts: { done: 1 } }]);
    expect((await Promise.all(ids.map(statusOf))).sort()).toEqual(['done', 'pending']);
  });

  it('runs as many jobs as requested, of the named queue', async () => {
    const ids = await create(
      words(),
      words({ queue: 'emails' }),
      words({ queue: 'emails' }),
      words({ queue: 'emails' }),
    );
    await run('?queue=emails&status=pending&limit=2');
    expect(await Promise.all(ids.map(statusOf))).toEqual(['pending', 'done', 'done', 'pending']);
    await run('?limit=1000');
    expect(await Promise.all(ids.map(statusOf))).toEqual(['done', 'done', 'done', 'done']);
  });

  it('does not run a job that is not due', async () => {
    const [id] = await create(words({ run_at: '2130-01-01T00:00:00Z' }));
    await run('?queue=default&limit=10');
    expect(await statusOf(id)).toBe('pending');
  });

  it.each(['?status=failed', '?queue=failed', '?queue=default&status=failed', '?queue=failed&status=failed'])(
    '%s retries one failed job',
    async (query) => {
      const twice = { name: 'fail-first', payload: { times: 1 }, max_attempts: 1 };
      const ids = await create(twice, twice);
      await cron();
      await run(query);
      expect((await Promise.all(ids.map(statusOf))).sort()).toEqual(['done', 'failed']);
      await run(`${query}&limit=5`);
      expect(await Promise.all(ids.map(statusOf))).toEqual(['done', 'done']);
    },
  );

  it.each(['?queue=letters', '?queue=letters&status=failed'])(
    '%s returns 404 for the unknown queue',
    async (query) => {
      const response = await run(query);
      expect(response.status).toBe(404);
      expect((await response.json()).error.message).toContain('letters');
    },
  );

  it.each<[query: string, field: string]>([
    ['?status=done', 'status'],
    ['?queue=failed&status=pending', 'status'],
    ['?limit=0', 'limit'],
    ['?limit=1001', 'limit'],
    ['?limit=-1', 'limit'],
    ['?limit=many', 'limit'],
    ['?queue=', 'queue'],
    ['?name=nap', 'name'],
  ])('%s returns 400', async (query, field) => {
    const response = await run(query);
    expect(response.status).toBe(400);
    const { error } = await response.json();
    expect(error.errors).toEqual([{ field, message: expect.stringMatching(/./) }]);
  });
});

describe('the API of jobs', () => {
  it('returns 400 for a body that is not JSON', async () => {
    expect((await post('{')).status).toBe(400);
  });
});
