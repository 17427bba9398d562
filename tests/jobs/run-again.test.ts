import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { handlers as registry } from '../../jobs/handlers.ts';
import { defineJob, type Job } from '../../lib/jobs/define-job.ts';
import { JobError } from '../../lib/jobs/job-error.ts';
import { testDatabase } from '../support/fixtures.ts';
import { jobBench } from '../support/job-bench.ts';

const database = testDatabase();
let bench: ReturnType<typeof jobBench>;
/** The attempts that ran, as [job, attempt], and how many of them ran side by side. */
let ran: [id: string, attempt: number][];
let atOnce: { now: number; highest: number };
let isMended: boolean;

const job = (run: Job['run'], maxAttempts?: number) => defineJob({ payload: z.object({}), run, maxAttempts });
const handlers = {
  ...registry,
  'gives-up-at-first': job((_payload, { attempt }) => {
    throw attempt === 1 ? new JobError('no use', { retry: false }) : new Error('not yet');
  }),
  'kills-later': job((_payload, { attempt }) => {
    if (attempt === 1) throw new JobError('no use', { retry: false });
    bench.killFunction();
    return new Promise(() => {});
  }),
  /** Fails until `isMended`. */
  fragile: job(async (_payload, { jobId, attempt }) => {
    ran.push([jobId, attempt]);
    atOnce.highest = Math.max(atOnce.highest, ++atOnce.now);
    await bench.sleep(100);
    atOnce.now--;
    if (!isMended) throw new Error('broken');
  }, 1),
  /** Fails at first, and then takes 14 s. */
  slow: job(async (_payload, { attempt }) => {
    if (attempt === 1) throw new Error('broken');
    await bench.sleep(14_000);
  }, 1),
};

beforeEach(() => {
  bench = jobBench(database, handlers);
  isMended = false;
  forgetRuns();
});

function forgetRuns(): void {
  ran = [];
  atOnce = { now: 0, highest: 0 };
}

const times = <Value>(count: number, value: Value) => Array.from({ length: count }, () => value);

/** Creates a failed job in each of these queues, and lets 60 s pass. */
async function createFailed(queues: string[], name = 'fragile'): Promise<string[]> {
  const ids = await bench.create(...queues.map((queue) => ({ name, queue })));
  for (const queue of new Set(queues)) await bench.runOut(queue);
  for (const id of ids) expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 1 });
  bench.clock.skip(60_000);
  forgetRuns();
  return ids;
}

const redrive = { state: 'dead', limit: null } as const;

describe('redriving failed jobs', () => {
  it('runs each job once, even one that fails again in the call, and counts the attempt', async () => {
    const ids = await createFailed(times(3, 'default'));
    await bench.run(redrive);
    expect(ran.map(([id]) => id).sort()).toEqual(ids);
    for (const id of ids)
      expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 2, last_error: 'broken' });

    bench.clock.skip(60_000);
    isMended = true;
    ran = [];
    await bench.run(redrive);
    expect(ran).toEqual(ids.map((id) => [id, 3]));
    for (const id of ids)
      expect(await bench.job(id)).toMatchObject({ status: 'done', attempts: 3, last_error: null });
    expect(await bench.run(redrive)).toEqual({ reports: [], left: [] });
  });

  it('runs more jobs than a tick’s batch limit', async () => {
    await createFailed(times(100, 'default'));
    isMended = true;
    await bench.run(redrive);
    expect(ran).toHaveLength(100);
  });

  it('runs the queues one after the other, the longest failed first, each with its own settings', async () => {
    await createFailed(['emails']);
    await createFailed(times(3, 'blocking'));
    const { reports } = await bench.run(redrive);
    expect(reports).toMatchObject([
      { partition: 'emails', counts: { claimed: 1 } },
      { partition: 'blocking', counts: { claimed: 3 } },
    ]);
    expect(atOnce.highest).toBe(1);
  });

  it('names the queues for which there was no time', async () => {
    await createFailed(times(30, 'emails'), 'slow');
    await createFailed(['default'], 'slow');
    const startedAt = bench.clock.now();
    expect(await bench.run(redrive)).toMatchObject({ left: ['default'] });
    expect(bench.clock.now() - startedAt).toBeLessThan(60_000);
  });

  it('runs a queue whose jobs fit into the rest of the time, even if others have longer ones', async () => {
    await createFailed(times(10, 'emails'), 'slow');
    await createFailed(['default'], 'slow');
    // Two rounds of 14 s leave 17 s of 45 s.
    expect(await bench.run(redrive)).toMatchObject({
      reports: [{ partition: 'emails' }, { partition: 'default', counts: { done: 1 } }],
      left: [],
    });
  });

  it('gives a job that failed before its last attempt exactly one more attempt', async () => {
    const [id] = await bench.create({ name: 'gives-up-at-first' });
    await bench.tick();
    bench.clock.skip(60_000);
    await bench.run(redrive);
    const failed = { status: 'failed', attempts: 2, last_error: 'not yet' };
    expect(await bench.job(id)).toMatchObject(failed);
    bench.clock.skip(3_600_000);
    await bench.tick();
    expect(await bench.job(id)).toMatchObject(failed);
  });

  it('gives one more attempt even if the function dies with it', async () => {
    const [id] = await bench.create({ name: 'kills-later' });
    await bench.tick();
    bench.clock.skip(60_000);
    expect(await bench.runUntilKilled(redrive)).toBe('killed');
    bench.clock.skip(91_000);
    await bench.tick();
    const last_error = 'the tick died while this row was running';
    expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 2, last_error });
  });

  it('skips expired jobs, and keeps each job’s expiry', async () => {
    const expires_at = new Date(bench.clock.now() + 3_600_000).toISOString();
    const ids = await bench.create({ name: 'fragile', expires_at }, { name: 'fragile' });
    await bench.tick();
    for (const left of [ids, ids.slice(1)]) {
      bench.clock.skip(60_000);
      ran = [];
      await bench.run(redrive);
      expect(ran.map(([id]) => id).sort()).toEqual(left);
      expect(new Date((await bench.job(ids[0])).expires_at).toISOString()).toBe(expires_at);
      bench.clock.skip(3_600_000);
    }
  });

  it('runs each job once for a slot that is delivered twice', async () => {
    await createFailed(times(2, 'default'));
    const slot = bench.clock.date().toISOString();
    await bench.run(redrive, { slot });
    bench.clock.skip(3_000);
    await bench.run(redrive, { slot });
    expect(ran).toHaveLength(2);
    await bench.run(redrive, { slot: bench.clock.date().toISOString() });
    expect(ran).toHaveLength(4);
  });

  it('finds a queue whose failed jobs all lack finished_at', async () => {
    isMended = true;
    const [id] = await bench.create({ name: 'fragile', queue: 'emails' });
    await database.sql(`update punctual.jobs set status = 'failed'`);
    await database.sql('update punctual.jobs set finished_at = null');
    await bench.run(redrive);
    expect(ran).toEqual([[id, 1]]);
  });
});

it.each(['pending', 'dead'] as const)(
  'running %s jobs stops at the limit across all queues',
  async (state) => {
    const queues = ['emails', 'emails', 'default', 'default'];
    if (state === 'dead') await createFailed(queues);
    else await bench.create(...queues.map((queue) => ({ name: 'fragile', queue })));
    await bench.run({ state, limit: 3 });
    expect(ran).toHaveLength(3);
  },
);

describe('running pending jobs on request', () => {
  it('runs the one that is due longest, unless a limit is given', async () => {
    isMended = true;
    const at = (seconds: number) => new Date(bench.clock.now() + seconds * 1_000).toISOString();
    const [later, first, , tomorrow] = await bench.create(
      { name: 'fragile', run_at: at(-10) },
      { name: 'fragile', run_at: at(-20) },
      { name: 'fragile', run_at: at(-5), queue: 'emails' },
      { name: 'fragile', run_at: at(86_400) },
    );
    for (const _ of [1, 2]) await bench.run({ queue: 'default' });
    expect(ran).toEqual([
      [first, 1],
      [later, 1],
    ]);
    await bench.run({ limit: 100 });
    expect(ran).toHaveLength(3);
    expect(await bench.job(tomorrow)).toMatchObject({ status: 'pending' });
  });

  it('reports that a queue is paused', async () => {
    await bench.create({ name: 'fragile' });
    await database.sql(`update punctual.partitions set paused_at = '2026-01-01Z' where queue = 'jobs'`);
    expect(await bench.run({ queue: 'default' })).toMatchObject({ reports: [{ outcome: 'paused' }] });
    expect(ran).toEqual([]);
  });

  it('runs the other queues if the settings of one do not fit, and then rejects', async () => {
    await bench.create({ name: 'fragile', queue: 'a' }, { name: 'fragile', queue: 'b' });
    await database.sql(
      `update punctual.partitions set timeout_seconds = 50 where queue = 'jobs' and partition = 'a'`,
    );
    await expect(bench.run({ limit: 10 })).rejects.toThrow('timeout of 50 s does not fit');
    expect(ran).toHaveLength(1);
  });
});

it('the queue blocking runs one job at a time, in order, and waits for one that is retried', async () => {
  isMended = true;
  const fragile = { name: 'fragile', queue: 'blocking' };
  const [head, ...rest] = await bench.create(
    { name: 'fail-first', payload: { times: 1 }, queue: 'blocking' },
    ...times(3, fragile),
  );
  await bench.tick({ partition: 'blocking' });
  expect(await bench.job(head)).toMatchObject({ status: 'pending', attempts: 1 });
  expect(ran).toEqual([]);
  await bench.runOut('blocking');
  expect(await bench.job(head)).toMatchObject({ status: 'done', attempts: 2 });
  expect(ran.map(([id]) => id)).toEqual(rest);
  expect(atOnce.highest).toBe(1);
});
