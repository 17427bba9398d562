import { describe, expect, it } from 'vitest';
import { GET as tickByGet, POST as tickByPost } from '../../../app/api/cron/jobs/route.ts';
import { endpoints as jobsApi } from '../../../lib/api/jobs.ts';
import { getJob } from '../../../lib/queues/jobs/get-job.ts';
import { JobInputError } from '../../../lib/queues/jobs/job-input-error.ts';
import { punctual } from '../../../punctual.ts';
import { answered, apiRequest, bearer, CRON_SECRET, withKey } from '../../support/api-server.ts';
import { servedDatabase } from '../../support/fixtures.ts';

const {
  'DELETE /jobs/:id': DELETE,
  'GET /jobs/:id': GET,
  'POST /jobs': POST,
  'POST /jobs/run': RUN,
} = jobsApi;

const database = servedDatabase();

const send = (body: string) => answered(POST(apiRequest('POST', '/api/jobs', withKey, body)));
const post = (body: unknown) => send(JSON.stringify(body));
const at = (id: string) => ({ params: Promise.resolve({ id }) });
const read = (id: string) => answered(GET(apiRequest('GET', `/api/jobs/${id}`), at(id)));
const cancel = (id: string) => answered(DELETE(apiRequest('DELETE', `/api/jobs/${id}`), at(id)));
const run = (query = '') => answered(RUN(apiRequest('POST', `/api/jobs/run${query}`)));
const cron = (query = '', route = tickByGet) =>
  answered(route(apiRequest('GET', `/api/cron/jobs${query}`, bearer(CRON_SECRET))));

const words = (changes: object = {}) => ({ name: 'count-words', payload: { text: 'a b' }, ...changes });

async function create(...jobs: object[]): Promise<string[]> {
  const { body } = await post(jobs);
  expect(body.error).toBeUndefined();
  return body.rows.map(({ id }: { id: string }) => id);
}
const statusesOf = (ids: string[]) => Promise.all(ids.map(async (id) => (await getJob(id))?.status));
const count = async () => (await database.sql('select id from punctual.jobs')).length;
/** Returns the errors, and expects that nothing was created. */
async function refusal(input: unknown) {
  const { status, body } = await post(input);
  expect({ status, kind: body.error?.kind }).toEqual({ status: 422, kind: 'invalid' });
  expect(await count()).toBe(0);
  return body.error.errors;
}

describe('POST /api/jobs', () => {
  it('creates a job, due at once, in the queue default', async () => {
    const { status, body } = await post(words());
    expect(status).toBe(201);
    expect(body.rows).toEqual([{ id: expect.stringMatching(/^\d+$/), status: 'pending', created: true }]);
    const [{ id }] = body.rows;
    const { body: job } = await read(id);
    expect(job).toEqual({
      id,
      name: 'count-words',
      request: null,
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
    const same = {
      name: 'nap',
      payload: { seconds: 2.5 },
      queue: 'emails_2-x',
      priority: 0,
      unique_key: 'order 7 / ü',
      max_attempts: 7,
      timeout_seconds: 4,
    };
    const [run_at, expires_at] = ['2030-07-01T09:30:00+02:00', '2030-07-01T12:00:00Z'];
    const [id] = await create({ ...same, run_at, expires_at, unique_seconds: 60 });
    const [row] = await database.sql('select * from punctual.jobs where id = $1', [id]);
    expect(row).toMatchObject(same);
    expect(Date.parse(row.run_at)).toBe(Date.parse(run_at));
    expect(Date.parse(row.expires_at)).toBe(Date.parse(expires_at));
    expect(Date.parse(row.unique_until) - Date.parse(row.created_at)).toBe(60_000);
  });

  it('refuses unknown names, and lists the known ones', async () => {
    for (const name of ['count-sheep', 'constructor', '__proto__', '', 'Count-Words']) {
      const says = new RegExp(`^this deployment has no job "${name}"; it has .*count-words.*nap`);
      const message = expect.stringMatching(says);
      expect(await refusal(words({ name }))).toEqual([{ index: 0, field: 'name', message }]);
    }
  });

  const big = 'x'.repeat(300_000);
  it.each<[name: string, changes: object, field: string, message: RegExp]>([
    ['a payload of the wrong type', { payload: { text: 7 } }, 'payload.text', /string/],
    ['a missing payload', { payload: undefined }, 'payload.text', /./],
    ['a null payload', { payload: null }, 'payload', /./],
    ['NUL in its payload', { payload: { text: 'a\0' } }, 'payload', /cannot be stored/],
    ['half a surrogate pair in its payload', { payload: { text: '\ud800' } }, 'payload', /cannot be stored/],
    ['more than 256 KB', { payload: { text: big } }, 'payload', /^is 300011 bytes of JSON; .* 262144 bytes$/],
    ['the queue failed', { queue: 'failed' }, 'queue', /stays in its own queue/],
    ['an invalid queue name', { queue: 'E-Mails' }, 'queue', /not a valid queue name/],
    ['a queue name of 41 characters', { queue: 'q'.repeat(41) }, 'queue', /not a valid queue name/],
    ['a date without a time', { run_at: '2030-01-01' }, 'run_at', /instant/],
    ['a window without a key', { unique_seconds: 5 }, 'unique_seconds', /needs a unique_key/],
    ['zero attempts', { max_attempts: 0 }, 'max_attempts', /./],
    ['a timeout of 0 s', { timeout_seconds: 0 }, 'timeout_seconds', /./],
    [
      'a time above the code’s',
      { timeout_seconds: 31 },
      'timeout_seconds',
      /^is 31; count-words may .* 30 s$/,
    ],
    [
      'a time above the queue’s',
      { timeout_seconds: 16 },
      'timeout_seconds',
      /^is 16; the queue .* 15 s at most$/,
    ],
    ['an unknown field', { delay: 5 }, 'delay', /./],
    ['no name', { name: undefined }, 'name', /./],
  ])('refuses a job with %s', async (_name, changes, field, message) => {
    expect(await refusal(words(changes))).toEqual([
      { index: 0, field, message: expect.stringMatching(message) },
    ]);
  });

  it('names every fault of every job', async () => {
    const jobs = [words(), words({ payload: {}, priority: 9 }), 'nap', words({ name: 'x' })];
    expect(await refusal(jobs)).toMatchObject([
      { index: 1, field: 'priority' },
      { index: 1, field: 'payload.text' },
      { index: 2, field: '' },
      { index: 3, field: 'name' },
    ]);
  });

  it('with a URL returns 503 and names what to set, because this app has no secret to sign with', async () => {
    const { status, body } = await post([words(), { url: 'https://example.com/' }]);
    expect(status).toBe(503);
    expect(body.error).toMatchObject({ kind: 'not_configured', variables: ['JOB_SIGNING_SECRET'] });
    expect(body.error.message).toMatch(/set it to a long random text/);
    expect(await count()).toBe(0);
  });

  it('returns 422 for a payload nested 50,000 levels deep', async () => {
    const nested = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
    expect((await send(`{"name":"nap","payload":${nested}}`)).status).toBe(422);
  });
});

const { createJob, createJobs } = punctual;

describe('createJob and getJob', () => {
  it('create a job with a typed payload, and read it', async () => {
    const runAt = new Date('2030-01-01T00:00:00Z');
    const created = await createJob('count-words', { payload: { text: 'a b' }, run_at: runAt, priority: 2 });
    expect(created).toEqual({ id: expect.any(String), status: 'pending', created: true });
    const job = await getJob(created.id);
    expect(job).toMatchObject({ name: 'count-words', payload: { text: 'a b' }, priority: 2 });
    expect(Date.parse(job?.run_at ?? '')).toBe(runAt.getTime());
  });

  it('accept only known names and valid fields, at compile time and at run time', async () => {
    // @ts-expect-error: there is no such job
    await expect(createJob('count-sheep', { payload: {} })).rejects.toThrow(JobInputError);
    // @ts-expect-error: text is not a number
    await expect(createJob('count-words', { payload: { text: 7 } })).rejects.toThrow('payload.text: ');
    // @ts-expect-error: there is no payload
    await expect(createJob('count-words', {})).rejects.toThrow('payload.text: ');
    const invalid = { payload: { seconds: -1 }, queue: 'Z', run_at: new Date(Number.NaN) };
    const error = await createJob('nap', invalid).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(JobInputError);
    expect(error.faults).toMatchObject([
      { index: null, field: 'queue' },
      { index: null, field: 'run_at' },
      { index: null, field: 'payload.seconds' },
    ]);
  });

  it('create many jobs, all or none', async () => {
    const nap = (seconds: number) => ({ name: 'nap', payload: { seconds } }) as const;
    const two = await createJobs([nap(1), { name: 'count-words', payload: { text: '' }, unique_key: 'k' }]);
    expect(two).toMatchObject([{ created: true }, { created: true }]);
    await expect(createJobs([nap(1), nap(0)])).rejects.toThrow('job 1: payload.seconds: ');
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
    expect(await cancel(id)).toEqual({ status: 200, body: { id, status: 'cancelled' } });
    await cron();
    expect(await getJob(id)).toMatchObject({ status: 'cancelled', attempts: 0 });
    expect((await cancel(id)).status).toBe(409);
  });

  it.each(['running', 'done', 'failed'])('do not cancel a job that is %s, and return 409', async (status) => {
    const [id = ''] = await create(words());
    await database.sql('update punctual.jobs set status = $1, lease_expires_at = now()', [status]);
    const message = `the job is ${status}: only a pending job can be cancelled`;
    expect(await cancel(id)).toMatchObject({ status: 409, body: { error: { kind: 'conflict', message } } });
    expect(await statusesOf([id])).toEqual([status]);
  });
});

describe('/api/cron/jobs', () => {
  it('ticks every queue that has due jobs', async () => {
    const ids = await create(words(), words({ queue: 'emails' }), words({ queue: 'blocking' }));
    const { status, body } = await cron();
    expect([status, body.left]).toEqual([200, []]);
    const partitions = body.reports.map(({ partition }: { partition: string }) => partition);
    expect(partitions.sort()).toEqual(['blocking', 'default', 'emails']);
    for (const id of ids)
      expect(await getJob(id)).toMatchObject({
        status: 'done',
        attempts: 1,
        result: { words: 2, characters: 3, lines: 1 },
        started_at: expect.any(String),
        finished_at: expect.any(String),
      });
  });

  it('leaves failed jobs alone, and redrives each of them with ?partition=failed', async () => {
    const [id = ''] = await create({ name: 'fail-first', payload: { times: 1 }, max_attempts: 1 });
    for (const route of [tickByPost, tickByGet]) {
      await cron('', route);
      await run('?limit=1000');
      expect(await getJob(id)).toMatchObject({ status: 'failed', attempts: 1 });
    }
    const body = { reports: [{ partition: 'default' }], left: [] };
    expect(await cron('?partition=failed')).toMatchObject({ status: 200, body });
    expect(await getJob(id)).toMatchObject({ status: 'done', attempts: 2 });
  });

  it('ticks one queue by its name, and returns 404 for an unknown one', async () => {
    const ids = await create(words(), words({ queue: 'emails' }));
    await cron('?partition=emails');
    expect(await statusesOf(ids)).toEqual(['pending', 'done']);
    expect((await cron('?partition=letters')).status).toBe(404);
  });
});

describe('POST /api/jobs/run', () => {
  it('runs one due job of any queue, or as many as requested of the named one', async () => {
    const emails = words({ queue: 'emails' });
    const ids = await create(emails, emails, emails, words());
    await run('?queue=emails&status=pending&limit=2');
    expect(await statusesOf(ids)).toEqual(['done', 'done', 'pending', 'pending']);
    const reports = [{ scheduler: 'api', counts: { done: 1 } }];
    expect(await run()).toMatchObject({ status: 200, body: { reports } });
    expect((await statusesOf(ids)).sort()).toEqual(['done', 'done', 'done', 'pending']);
    await run('?limit=1000');
    expect(await statusesOf(ids)).toEqual(['done', 'done', 'done', 'done']);
  });

  it.each(['?status=failed', '?queue=failed', '?queue=default&status=failed', '?queue=failed&status=failed'])(
    '%s retries one failed job',
    async (query) => {
      const once = { name: 'fail-first', payload: { times: 1 }, max_attempts: 1 };
      const ids = await create(once, once);
      await cron();
      await run(query);
      expect((await statusesOf(ids)).sort()).toEqual(['done', 'failed']);
      await run(`${query}&limit=5`);
      expect(await statusesOf(ids)).toEqual(['done', 'done']);
    },
  );

  it.each(['?queue=letters', '?queue=letters&status=failed'])('%s returns 404', async (query) => {
    const message = expect.stringContaining('there is no queue of jobs named "letters"');
    expect(await run(query)).toMatchObject({ status: 404, body: { error: { message } } });
  });

  it.each<[query: string, field: string]>([
    ['?status=done', 'status'],
    ['?queue=failed&status=pending', 'status'],
    ['?limit=0', 'limit'],
    ['?limit=1001', 'limit'],
    ['?queue=', 'queue'],
  ])('%s returns 400', async (query, field) => {
    expect(await run(query)).toMatchObject({ status: 400, body: { error: { errors: [{ field }] } } });
  });
});
