import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

const year = 365 * 86_400;
const job = (changes: object = {}) => ({ name: 'a', queue: 'default', payload: {}, ...changes });
const call = (p_rows: object[]) =>
  database.rpc('create_jobs', { p_rows, p_now: sql.now }) as Promise<{
    rows?: { id: string; status: string; created: boolean }[];
    errors?: object[];
  }>;

async function create(...rows: object[]): Promise<{ id: string; created: boolean }[]> {
  const response = await call(rows);
  if (!response.rows) throw new Error(JSON.stringify(response.errors));
  return response.rows.map(({ id, created }) => ({ id, created }));
}
const count = async (table = 'jobs') =>
  (await database.sql(`select count(*)::integer as n from punctual.${table}`))[0].n;
/** Expects the call to create nothing, and returns its errors. */
async function expectErrors(...rows: object[]): Promise<object[]> {
  const before = [await count(), await count('partitions')];
  const { errors = [] } = await call(rows);
  expect([await count(), await count('partitions')]).toEqual(before);
  return errors;
}
const settings = async (queue: string) =>
  (
    await database.sql(`select * from punctual.partitions where queue = 'jobs' and partition = $1`, [queue])
  )[0];
const set = (queue: string, changes: string) =>
  database.sql(`update punctual.partitions set ${changes} where queue = 'jobs' and partition = '${queue}'`);

describe('a unique key', () => {
  it('blocks a second job of the same name while the first job’s row exists', async () => {
    const [first] = await create(job({ unique_key: 'k' }));
    const existing = [{ id: first?.id, created: false }];
    expect(first?.created).toBe(true);
    sql.pass(10 * year);
    expect(await create(job({ unique_key: 'k', queue: 'emails' }))).toEqual(existing);
    await database.sql(`update punctual.jobs set status = 'done', finished_at = now()`);
    expect(await create(job({ unique_key: 'k' }))).toEqual(existing);
    await database.sql('delete from punctual.jobs');
    expect(await create(job({ unique_key: 'k' }))).toMatchObject([{ created: true }]);
  });

  it('with a window blocks duplicates for that long after the first job’s creation', async () => {
    const hourly = job({ unique_key: 'k', unique_seconds: 3_600 });
    const [first] = await create(hourly);
    sql.pass(3_599);
    // The first job's window also applies to a job with a longer window or none.
    for (const later of [hourly, job({ unique_key: 'k' })])
      expect(await create(later)).toEqual([{ id: first?.id, created: false }]);
    sql.pass(1);
    const [second] = await create(hourly);
    expect(second?.created).toBe(true);
    sql.pass(3_599);
    expect(await create(hourly)).toEqual([{ id: second?.id, created: false }]);
  });

  it('applies to one job name and one key, also within one call, whose order the response keeps', async () => {
    const [existing] = await create(job({ unique_key: 'there' }));
    const responses = await create(
      job({ unique_key: 'k' }),
      job(),
      job(),
      job({ unique_key: 'there' }),
      job({ unique_key: 'k' }),
      job({ unique_key: 'k', name: 'b' }),
    );
    expect(responses.map(({ created }) => created)).toEqual([true, true, true, false, false, true]);
    expect([responses[3]?.id, responses[4]?.id]).toEqual([existing?.id, responses[0]?.id]);
    expect(await count()).toBe(5);
  });

  it('applies across concurrent calls, in any order of keys', async () => {
    for (let round = 0; round < 8; round++) {
      const keys = Array.from({ length: 100 }, (_, n) => job({ unique_key: `k${n}`, name: `of-${round}` }));
      const calls = Array.from({ length: 8 }, (_, n) => create(...(n % 2 ? keys : [...keys].reverse())));
      const responses = (await Promise.all(calls)).flat();
      expect(responses.filter(({ created }) => created)).toHaveLength(100);
      expect(new Set(responses.map(({ id }) => id)).size).toBe(100);
    }
  });

  it('is free again once its job is cancelled', async () => {
    await create(job({ unique_key: 'k' }));
    await database.sql(`update punctual.jobs set status = 'cancelled'`);
    expect(await create(job({ unique_key: 'k' }))).toMatchObject([{ created: true }]);
  });
});

describe('a queue that does not exist yet', () => {
  it('is created with the settings of default, except its pause and max_running', async () => {
    await set(
      'default',
      `batch_limit = 7, concurrency = 3, max_ticks = 2, timeout_seconds = 9, budget_seconds = 30, adaptive = true,
       paused_at = now(), paused_reason = 'holiday', max_running = 1`,
    );
    await create(job({ queue: 'emails' }));
    const copied = { batch_limit: 7, concurrency: 3, max_ticks: 2, timeout_seconds: 9, budget_seconds: 30 };
    const left = { paused_at: null, paused_reason: null, max_running: null };
    expect(await settings('emails')).toMatchObject({ ...copied, adaptive: true, ...left });
  });

  it('is created even if default was deleted, and then keeps its settings', async () => {
    await database.sql(`delete from punctual.partitions where queue = 'jobs'`);
    await create(job({ queue: 'emails' }));
    expect(await settings('emails')).toMatchObject({ concurrency: null });
    await set('emails', 'concurrency = 9');
    await create(job({ queue: 'emails' }));
    expect(await settings('emails')).toMatchObject({ concurrency: 9 });
  });

  it('is refused once there are 100 queues, and the call creates nothing', async () => {
    await create(...Array.from({ length: 97 }, (_, n) => job({ queue: `q${n}` })));
    const message = expect.stringMatching(/^there is no queue "[xy]", and the API makes no more than 100/);
    expect(await expectErrors(job(), job({ queue: 'x' }), job({ queue: 'y' }))).toEqual([
      { index: 1, field: 'queue', message },
      { index: 2, field: 'queue', message },
    ]);
    await create(job({ queue: 'x' }), job({ queue: 'q5' }));
    expect(await expectErrors(job({ queue: 'y' }))).toHaveLength(1);
  });

  it('is refused beyond 100 queues in concurrent calls too', async () => {
    const calls = Array.from({ length: 12 }, (_, n) =>
      call(Array.from({ length: 10 }, (_, m) => job({ queue: `q${n}-${m}` }))),
    );
    expect((await Promise.all(calls)).filter(({ rows }) => rows)).toHaveLength(9);
    const made = await database.sql(`select from punctual.partitions where queue = 'jobs'`);
    expect(made).toHaveLength(92);
  });

  it('is never named failed, even by a plain insert', async () => {
    const insert = database.sql(`insert into punctual.jobs (name, queue) values ('a', 'failed')`);
    await expect(insert).rejects.toThrow('jobs_queue_is_a_place');
  });
});

it.each([null, 0, 'text', [null], { a: null }])('a payload of %j is stored unchanged', async (payload) => {
  await create(job({ payload }));
  const [row] = await database.sql('select payload::text as payload from punctual.jobs');
  expect(JSON.parse(row.payload)).toEqual(payload);
});

describe('a timeout', () => {
  it('cannot exceed the timeout of its queue, and the error names it', async () => {
    await set('blocking', 'timeout_seconds = 20');
    const errors = await expectErrors(
      job({ timeout_seconds: 15 }),
      job({ timeout_seconds: 16 }),
      job({ timeout_seconds: 20, queue: 'blocking' }),
      job({ timeout_seconds: 21, queue: 'blocking' }),
      job({ timeout_seconds: 16, queue: 'emails' }),
    );
    const field = 'timeout_seconds';
    expect(errors).toEqual([
      { index: 1, field, message: 'is 16; the queue default gives a job 15 s at most' },
      { index: 3, field, message: 'is 21; the queue blocking gives a job 20 s at most' },
      { index: 4, field, message: 'is 16; the queue emails gives a job 15 s at most' },
    ]);
  });

  it('of the handler is stored if the job sets none, and is never refused', async () => {
    await create(job({ most_seconds: 30 }), job({ most_seconds: 10, timeout_seconds: 5 }));
    const rows = await database.sql('select id::text as id, timeout_seconds from punctual.jobs order by id');
    expect(rows.map(({ timeout_seconds }) => timeout_seconds)).toEqual([30, 5]);
    const jobs = await Promise.all(rows.map(({ id }) => database.rpc('read_job', { p_id: id })));
    expect(jobs).toMatchObject([{ timeout_seconds: 15 }, { timeout_seconds: 5 }]);
  });
});

it('the list of job queues names those with failed jobs, longest failed first, and gives each timeout', async () => {
  await set('blocking', 'timeout_seconds = 25');
  await create(job(), job({ queue: 'emails' }), job({ queue: 'emails' }), job({ queue: 'by-hand' }));
  await database.sql(
    `update punctual.jobs set status = 'failed',
            finished_at = case when queue <> 'by-hand' then timestamptz '2026-03-02 12:00Z' - make_interval(mins => id::integer) end`,
  );
  expect(await database.rpc('list_job_queues', {})).toEqual([
    { queue: 'emails', timeout_seconds: 15, has_failed: true },
    { queue: 'default', timeout_seconds: 15, has_failed: true },
    { queue: 'by-hand', timeout_seconds: 15, has_failed: true },
    { queue: 'blocking', timeout_seconds: 25, has_failed: false },
  ]);
});
