import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let now: number;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  now = Date.parse('2026-03-02T12:00:00Z');
});

type Created = { rows: { id: string; status: string; created: boolean }[] } | { errors: object[] };
const job = (changes: object = {}) => ({ name: 'a', queue: 'default', payload: {}, ...changes });
const call = (rows: object[]) =>
  database.rpc('create_jobs', { p_rows: rows, p_now: new Date(now).toISOString() }) as Promise<Created>;

async function create(...rows: object[]): Promise<{ id: string; created: boolean }[]> {
  const answer = await call(rows);
  if ('errors' in answer) throw new Error(JSON.stringify(answer.errors));
  return answer.rows.map(({ id, created }) => ({ id, created }));
}
async function refused(...rows: object[]): Promise<object[]> {
  const before = await count();
  const answer = await call(rows);
  expect(await count()).toBe(before);
  return 'errors' in answer ? answer.errors : [];
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
  it('lets no second job of its name in, as long as the first is kept', async () => {
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

  it('is of one name, and no other key', async () => {
    await create(job({ unique_key: 'k' }));
    expect(await create(job({ name: 'b', unique_key: 'k' }))).toMatchObject([{ created: true }]);
    expect(await create(job({ unique_key: 'l' }))).toMatchObject([{ created: true }]);
    expect(await create(job())).toMatchObject([{ created: true }]);
    expect(await create(job())).toMatchObject([{ created: true }]);
  });

  it('with a window holds for so long from the creation of the first', async () => {
    const hourly = job({ unique_key: 'k', unique_seconds: 3_600 });
    const [first] = await create(hourly);
    now += 3_599_000;
    expect(await create(hourly)).toEqual([{ id: first?.id, created: false }]);
    // Also for one that would have a longer one, or none.
    expect(await create(job({ unique_key: 'k' }))).toEqual([{ id: first?.id, created: false }]);
    now += 1_000;
    const [second] = await create(hourly);
    expect(second?.created).toBe(true);
    now += 3_599_000;
    expect(await create(hourly)).toEqual([{ id: second?.id, created: false }]);
  });

  it('holds within one call, and answers in its order', async () => {
    const [there] = await create(job({ unique_key: 'there' }));
    const answers = await create(
      job({ unique_key: 'k' }),
      job(),
      job({ unique_key: 'there' }),
      job({ unique_key: 'k' }),
      job({ unique_key: 'k', name: 'b' }),
    );
    expect(answers.map(({ created }) => created)).toEqual([true, true, false, false, true]);
    expect(answers[2]?.id).toBe(there?.id);
    expect(answers[3]?.id).toBe(answers[0]?.id);
    expect(await count()).toBe(4);
  });

  it('holds for calls at the same time, whatever the order of their keys', async () => {
    for (let round = 0; round < 8; round++) {
      const keys = Array.from({ length: 100 }, (_, n) => job({ unique_key: `k${n}`, name: `of-${round}` }));
      const calls = Array.from({ length: 8 }, (_, n) => create(...(n % 2 ? keys : [...keys].reverse())));
      const answers = (await Promise.all(calls)).flat();
      expect(answers.filter(({ created }) => created)).toHaveLength(100);
      expect(new Set(answers.map(({ id }) => id)).size).toBe(100);
    }
  });

  it('is given back by a job that is cancelled', async () => {
    await create(job({ unique_key: 'k' }));
    await database.sql(`update punctual.jobs set status = 'cancelled'`);
    expect(await create(job({ unique_key: 'k' }))).toMatchObject([{ created: true }]);
  });
});

describe('a queue that there is not', () => {
  it('is made with what default has, and not with its pause', async () => {
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

  it('is made where default is gone, too', async () => {
    await database.sql(`delete from punctual.partitions where queue = 'jobs'`);
    await create(job({ queue: 'emails' }));
    expect(await partition('emails')).toMatchObject({ concurrency: null });
  });

  it('stays as it is once it is there', async () => {
    await create(job({ queue: 'emails' }));
    await database.sql(`update punctual.partitions set concurrency = 9 where partition = 'emails'`);
    await create(job({ queue: 'emails' }));
    expect(await partition('emails')).toMatchObject({ concurrency: 9 });
  });

  it('is not made beyond a hundred, and nothing of the call is created then', async () => {
    await create(...Array.from({ length: 97 }, (_, n) => job({ queue: `q${n}` })));
    expect(await refused(job(), job({ queue: 'x' }), job({ queue: 'y' }))).toEqual(
      [1, 2].map((index) => ({
        index,
        field: 'queue',
        message: expect.stringMatching(/^there is no queue "[xy]", and the API makes no more than 100/),
      })),
    );
    expect(await partition('x')).toBeUndefined();
    await create(job({ queue: 'x' }), job({ queue: 'q5' }));
    expect(await refused(job({ queue: 'y' }))).toHaveLength(1);
  });

  it('is not made beyond a hundred by calls at the same time', async () => {
    const calls = Array.from({ length: 12 }, (_, n) =>
      call(Array.from({ length: 10 }, (_, m) => job({ queue: `q${n}-${m}` }))),
    );
    const answers = await Promise.all(calls);
    expect(answers.filter((answer) => 'rows' in answer)).toHaveLength(9);
    const [{ n }] = await database.sql(
      `select count(*)::integer as n from punctual.partitions where queue = 'jobs'`,
    );
    expect(n).toBe(92);
  });

  it('is never failed, also by a plain insert', async () => {
    await expect(
      database.sql(`insert into punctual.jobs (name, queue) values ('a', 'failed')`),
    ).rejects.toThrow('jobs_queue_is_a_place');
  });
});

describe('a payload', () => {
  it.each([null, 0, 'text', [null], { a: null }])('of %j is kept as it is', async (payload) => {
    await create(job({ payload }));
    const [row] = await database.sql('select payload::text as payload from punctual.jobs');
    expect(JSON.parse(row.payload)).toEqual(payload);
  });
});

describe('a timeout', () => {
  it('is no longer than that of its queue, which the refusal names', async () => {
    await database.sql(`update punctual.partitions set timeout_seconds = 20 where partition = 'blocking'`);
    expect(
      await refused(
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

  it('of the handler is kept where the job has none, and refuses nothing', async () => {
    await create(job({ most_seconds: 30 }), job({ most_seconds: 10, timeout_seconds: 5 }));
    const rows = await database.sql('select id::text as id, timeout_seconds from punctual.jobs order by id');
    expect(rows.map(({ timeout_seconds }) => timeout_seconds)).toEqual([30, 5]);
    const told = await Promise.all(rows.map(({ id }) => database.rpc('read_job', { p_id: id })));
    expect(told).toMatchObject([{ timeout_seconds: 15 }, { timeout_seconds: 5 }]);
  });
});

describe('the list of the queues of jobs', () => {
  it('tells which have failed jobs, the longest failed first, and how long an attempt takes there', async () => {
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
  it('with keys of their own takes one call, and so does asking for them again', async () => {
    const thousand = Array.from({ length: 1_000 }, (_, n) => job({ unique_key: `k${n}` }));
    const first = await create(...thousand);
    expect(first.every(({ created }) => created)).toBe(true);
    const second = await create(...thousand);
    expect(second.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
    expect(second.some(({ created }) => created)).toBe(false);
  });
});
