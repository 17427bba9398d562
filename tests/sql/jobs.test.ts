import { beforeEach, describe, expect, it } from 'vitest';
import { testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
let now: number;

beforeEach(async () => {
  now = Date.parse('2026-03-02T12:00:00Z');
});

type Created = { rows: { id: string; status: string; created: boolean }[] } | { errors: object[] };
const job = (changes: object = {}) => ({ name: 'a', queue: 'default', payload: {}, ...changes });
const call = (rows: object[]) =>
  database.rpc('create_jobs', { p_rows: rows, p_now: new Date(now).toISOString() }) as Promise<Created>;

async function create(...rows: object[]): Promise<{ id: string; created: boolean }[]> {
  const response = await call(rows);
  if ('errors' in response) throw new Error(JSON.stringify(response.errors));
  return response.rows.map(({ id, created }) => ({ id, created }));
}
/** Expects the call to create nothing, and returns its errors. */
async function expectErrors(...rows: object[]): Promise<object[]> {
  const before = await count();
  const response = await call(rows);
  expect(await count()).toBe(before);
  return 'errors' in response ? response.errors : [];
}
async function count(): Promise<number> {
  const [{ n }] = await database.sql('select count(*)::integer as n from punctual.jobs');
  return n;
}
const partition = async (name: string) => {
  const [found] = await database.sql(
    `select * from punctual.partitions where queue = 'jobs' and partition = $1`,
    [name],
  );
  return found;
};

describe('a unique key', () => {
  it('blocks a second job of the same name while the first job’s row exists', async () => {
    const [first] = await create(job({ unique_key: 'k' }));
    expect(first?.created).toBe(true);
    now += 10 * 365 * 86_400_000;
    expect(await create(job({ unique_key: 'k', queue: 'emails' }))).toEqual([
      { id: first?.id, created: false },
    ]);
    await database.sql(`update punctual.jobs set status = 'done', finished_at = now()`);
    expect(await create(job({ unique_key: 'k' }))).toEqual([{ id: first?.id, created: false }]);
    await database.sql('delete from punctual.jobs');
    expect(await create(job({ unique_key: 'k' }))).toMatchObject([{ created: true }]);
  });

  it('applies to one job name and one key only', async () => {
    await create(job({ unique_key: 'k' }));
    expect(await create(job({ name: 'b', unique_key: 'k' }))).toMatchObject([{ created: true }]);
    expect(await create(job({ unique_key: 'l' }))).toMatchObject([{ created: true }]);
    expect(await create(job())).toMatchObject([{ created: true }]);
    expect(await create(job())).toMatchObject([{ created: true }]);
  });

  it('with a window blocks duplicates for that long after the first job’s creation', async () => {
    const hourly = job({ unique_key: 'k', unique_seconds: 3_600 });
    const [first] = await create(hourly);
    now += 3_599_000;
    expect(await create(hourly)).toEqual([{ id: first?.id, created: false }]);
    // The first job's window also applies to a job with a longer window or none.
    expect(await create(job({ unique_key: 'k' }))).toEqual([{ id: first?.id, created: false }]);
    now += 1_000;
    const [second] = await create(hourly);
    expect(second?.created).toBe(true);
    now += 3_599_000;
    expect(await create(hourly)).toEqual([{ id: second?.id, created: false }]);
  });

  it('applies within one call, and the response keeps the call’s order', async () => {
    const [existing] = await create(job({ unique_key: 'there' }));
    const responses = await create(
      job({ unique_key: 'k' }),
      job(),
      job({ unique_key: 'there' }),
      job({ unique_key: 'k' }),
      job({ unique_key: 'k', name: 'b' }),
    );
    expect(responses.map(({ created }) => created)).toEqual([true, true, false, false, true]);
    expect(responses[2]?.id).toBe(existing?.id);
    expect(responses[3]?.id).toBe(responses[0]?.id);
    expect(await count()).toBe(4);
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
    await database.sql(
      `update punctual.partitions set batch_limit = 7, concurrency = 3, max_ticks = 2, timeout_seconds = 9, budget_seconds = 30,
              adaptive = true, paused_at = now(), paused_reason = 'holiday', max_running = 1
        where queue = 'jobs' and partition = 'default'`,
    );
    await create(job({ queue: 'emails' }));
    expect(await partition('emails')).toMatchObject({
      batch_limit: 7,
      concurrency: 3,
      max_ticks: 2,
      timeout_seconds: 9,
      budget_seconds: 30,
      adaptive: true,
      paused_at: null,
      paused_reason: null,
      max_running: null,
    });
  });

  it('is created even if default was deleted', async () => {
    await database.sql(`delete from punctual.partitions where queue = 'jobs'`);
    await create(job({ queue: 'emails' }));
    expect(await partition('emails')).toMatchObject({ concurrency: null });
  });

  it('keeps its settings once it exists', async () => {
    await create(job({ queue: 'emails' }));
    await database.sql(`update punctual.partitions set concurrency = 9 where partition = 'emails'`);
    await create(job({ queue: 'emails' }));
    expect(await partition('emails')).toMatchObject({ concurrency: 9 });
  });

  it('is refused once there are 100 queues, and the call creates nothing', async () => {
    await create(...Array.from({ length: 97 }, (_, n) => job({ queue: `q${n}` })));
    expect(await expectErrors(job(), job({ queue: 'x' }), job({ queue: 'y' }))).toEqual(
      [1, 2].map((index) => ({
        index,
        field: 'queue',
        message: expect.stringMatching(/^there is no queue "[xy]", and the API makes no more than 100/),
      })),
    );
    expect(await partition('x')).toBeUndefined();
    await create(job({ queue: 'x' }), job({ queue: 'q5' }));
    expect(await expectErrors(job({ queue: 'y' }))).toHaveLength(1);
  });

  it('is refused beyond 100 queues in concurrent calls too', async () => {
    const calls = Array.from({ length: 12 }, (_, n) =>
      call(Array.from({ length: 10 }, (_, m) => job({ queue: `q${n}-${m}` }))),
    );
    const responses = await Promise.all(calls);
    expect(responses.filter((response) => 'rows' in response)).toHaveLength(9);
    const [{ n }] = await database.sql(
      `select count(*)::integer as n from punctual.partitions where queue = 'jobs'`,
    );
    expect(n).toBe(92);
  });

  it('is never named failed, even by a plain insert', async () => {
    await expect(
      database.sql(`insert into punctual.jobs (name, queue) values ('a', 'failed')`),
    ).rejects.toThrow('jobs_queue_is_a_place');
  });
});

describe('a payload', () => {
  it.each([null, 0, 'text', [null], { a: null }])('of %j is stored unchanged', async (payload) => {
    await create(job({ payload }));
    const [row] = await database.sql('select payload::text as payload from punctual.jobs');
    expect(JSON.parse(row.payload)).toEqual(payload);
  });
});

describe('a timeout', () => {
  it('cannot exceed the timeout of its queue, and the error names it', async () => {
    await database.sql(`update punctual.partitions set timeout_seconds = 20 where partition = 'blocking'`);
    expect(
      await expectErrors(
        job({ timeout_seconds: 15 }),
        job({ timeout_seconds: 16 }),
        job({ timeout_seconds: 20, queue: 'blocking' }),
        job({ timeout_seconds: 21, queue: 'blocking' }),
        job({ timeout_seconds: 16, queue: 'emails' }),
      ),
    ).toEqual([
      { index: 1, field: 'timeout_seconds', message: 'is 16; the queue default gives a job 15 s at most' },
      { index: 3, field: 'timeout_seconds', message: 'is 21; the queue blocking gives a job 20 s at most' },
      { index: 4, field: 'timeout_seconds', message: 'is 16; the queue emails gives a job 15 s at most' },
    ]);
    expect(await partition('emails')).toBeUndefined();
  });

  it('of the handler is stored if the job sets none, and is never refused', async () => {
    await create(job({ most_seconds: 30 }), job({ most_seconds: 10, timeout_seconds: 5 }));
    const rows = await database.sql('select id::text as id, timeout_seconds from punctual.jobs order by id');
    expect(rows.map(({ timeout_seconds }) => timeout_seconds)).toEqual([30, 5]);
    const jobs = await Promise.all(rows.map(({ id }) => database.rpc('read_job', { p_id: id })));
    expect(jobs).toMatchObject([{ timeout_seconds: 15 }, { timeout_seconds: 5 }]);
  });
});

describe('the list of job queues', () => {
  it('names the queues with failed jobs, longest failed first, and gives each queue’s timeout', async () => {
    await database.sql(`update punctual.partitions set timeout_seconds = 25 where partition = 'blocking'`);
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
});

describe('creating a thousand jobs', () => {
  it('with unique keys takes one call, and so does repeating it', async () => {
    const thousand = Array.from({ length: 1_000 }, (_, n) => job({ unique_key: `k${n}` }));
    const first = await create(...thousand);
    expect(first.every(({ created }) => created)).toBe(true);
    const second = await create(...thousand);
    expect(second.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
    expect(second.some(({ created }) => created)).toBe(false);
  });
});
