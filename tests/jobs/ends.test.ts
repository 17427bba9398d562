import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob, type Job } from '../../lib/jobs/define-job.ts';
import { JobError } from '../../lib/jobs/job-error.ts';
import { testDatabase } from '../support/fixtures.ts';
import { jobBench } from '../support/job-bench.ts';

const database = testDatabase();
let bench: ReturnType<typeof jobBench>;

const job = (run: Job['run'], limits: Partial<Job> = {}) =>
  defineJob({ payload: z.looseObject({}), run, ...limits });
const throwing = (thrown: unknown) =>
  job(() => {
    throw thrown;
  });
const throws = throwing(new Error('no luck'));
const returnsNull = job(() => null);
const hanging = (timeoutSeconds?: number) => job(() => new Promise(() => {}), { timeoutSeconds });
const good = defineJob({
  payload: z.object({ n: z.int() }),
  run: async ({ n }) => {
    await bench.sleep(100);
    return { squared: n * n };
  },
});

/** Ticks once with a job of the handler `bad`, which is due first, and eleven good ones, which must be done within 1 s. Returns the first. */
async function tickBesideGoodOnes(bad: Job, known: Record<string, Job> = { good, bad }) {
  bench = jobBench(database, { good, bad });
  const startedAt = bench.clock.now();
  const [id, ...others] = await bench.create(
    { name: 'bad', run_at: new Date(startedAt - 1_000).toISOString() },
    ...Array.from({ length: 11 }, (_, n) => ({ name: 'good', payload: { n } })),
  );
  expect(await bench.tick({}, known)).toMatchObject({ outcome: 'ran', counts: { claimed: 12, lost: 0 } });
  for (const [n, other] of others.entries()) {
    expect(await bench.job(other)).toMatchObject({ status: 'done', attempts: 1, result: { squared: n * n } });
    expect(await bench.finishedAfter(other, startedAt)).toBeLessThan(1);
  }
  return bench.job(id);
}

/** Creates a job of this handler, ticks once, and returns the job. */
async function runOnce(handler: Job, settings: { queue?: string; [field: string]: unknown } = {}) {
  bench = jobBench(database, { it: handler });
  const [id] = await bench.create({ name: 'it', ...settings });
  await bench.tick({ partition: settings.queue ?? 'default' });
  return bench.job(id);
}

describe('a job among eleven good ones', () => {
  const retried = (error: string) => ({ status: 'pending', result: null, last_error: error });
  const done = (result: unknown) => ({ status: 'done', result, last_error: null });
  const failed = (error: string) => ({ status: 'failed', last_error: error });
  const omitted = (why: RegExp) => done({ omitted: expect.stringMatching(why) });
  const refused = (changes: object) => throwing(Object.assign(new Error(), { kind: 'rejected' }, changes));
  const throwLate = () => bench.sleep(50).then(() => Promise.reject(new TypeError('late')));
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const unreadable = Object.defineProperty(Object.assign(new Error(), { kind: 'rejected' }), 'message', {
    get: () => Promise.reject.call(null),
  });
  const cannotBeRead = 'the job threw a value that cannot be read';

  it.each<[name: string, bad: Job, row: object]>([
    ['throws', throws, retried('no luck')],
    ['throws later', job(throwLate), retried('late')],
    ['throws nothing', throwing(undefined), retried('the job threw undefined')],
    ['throws no readable value', throwing(Object.create(null)), retried(cannotBeRead)],
    ['throws 3 MB', throwing(new Error('x'.repeat(3_000_000))), retried('x'.repeat(2_000))],
    ['hangs', hanging(), retried('no answer within 15000 ms')],
    ['asks for a delay', throwing(new JobError('closed', { afterSeconds: 9 })), retried('closed')],
    ['gives up', throwing(new JobError('gone', { retry: false })), failed('gone')],
    ['refuses with an object for a message', refused({ message: { code: 7 } }), failed('Error: {"code":7}')],
    ['refuses with a number for a message', refused({ message: 42 }), failed('Error: 42')],
    ['refuses without a message', refused({ message: undefined }), failed('Error')],
    ['refuses with an array for a name', refused({ message: '', name: ['Odd'] }), failed('Odd')],
    ['refuses with a message that throws', throwing(unreadable), failed(cannotBeRead)],
    ['returns nothing', job(() => undefined), done(null)],
    ['returns null', returnsNull, done(null)],
    ['returns 5 MB', job(() => 'x'.repeat(5 * 1_024 * 1_024)), omitted(/ 5242882 bytes .* 65536 bytes$/)],
    ['returns a circle', job(() => circle), omitted(/^the result is not JSON: /)],
    ['returns NUL', job(() => ({ 'a\0b': 'c\0d\ud800' })), done({ ab: 'cd\ufffd' })],
    ['returns an outcome', job(() => ({ kind: 'dead', error: 'x' })), done({ kind: 'dead', error: 'x' })],
  ])('that %s leaves them done', async (_name, bad, row) => {
    expect(await tickBesideGoodOnes(bad)).toMatchObject({ ...row, attempts: 1 });
  });

  it('whose handler is missing waits for a deployment that has it, and its row says so', async () => {
    const waiting = await tickBesideGoodOnes(returnsNull, { good });
    expect(waiting).toMatchObject({ status: 'pending', attempts: 1 });
    expect(waiting.last_error).toBe('this deployment has no job "bad"; it has test, good');
    bench.clock.skip(3_600_000);
    await bench.tick();
    expect(await bench.job(waiting.id)).toMatchObject({ status: 'done', attempts: 2 });
  });

  it('whose payload no longer fits is failed at once, with the reason', async () => {
    const bad = defineJob({ payload: z.object({ to: z.email() }), run: () => null });
    const row = await tickBesideGoodOnes(returnsNull, { good, bad });
    expect(row).toMatchObject({ status: 'failed', attempts: 1 });
    expect(row.last_error).toMatch(/^the payload does not fit its schema: payload\.to: /);
  });
});

it('a job whose handler ends after its timeout is done if its tick still runs', async () => {
  const takes = (ms: number) => job(() => bench.sleep(ms).then(() => ({ ms })));
  bench = jobBench(database, { late: takes(17_000), slow: takes(14_000) });
  const [late] = await bench.create({ name: 'late' }, ...Array.from({ length: 9 }, () => ({ name: 'slow' })));
  await bench.tick();
  expect(await bench.job(late)).toMatchObject({ status: 'done', attempts: 1, result: { ms: 17_000 } });
});

it('a JobError with `afterSeconds` delays the retry, and is not logged', async () => {
  const { next_attempt_at } = await runOnce(throwing(new JobError('closed', { afterSeconds: 86_400 })));
  expect(Date.parse(next_attempt_at) - bench.clock.now()).toBeCloseTo(86_400_000, -2);
  expect(bench.logged).toEqual([]);
});

it('an error of a handler is logged once for each attempt, the last one included, with its stack', async () => {
  bench = jobBench(database, { throws });
  const [id] = await bench.create({ name: 'throws', max_attempts: 2 });
  await bench.runOut();
  expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 2 });
  const logged = (attempt: number) => ({
    fields: { err: expect.objectContaining({ message: 'no luck' }), attempt, job: id, name: 'throws' },
    message: 'a job threw an error',
  });
  expect(bench.logged).toEqual([logged(1), logged(2)]);
  for (const { fields } of bench.logged)
    expect((fields as { err: Error }).err.stack).toContain('ends.test.ts');
});

describe('the timeout of a job', () => {
  it.each<
    [name: string, settings: { queue?: string; timeout_seconds?: number }, ofHandler: number, seconds: number]
  >([
    ['its own', { timeout_seconds: 3 }, 6, 3],
    ['its handler’s if it has none', {}, 6, 6],
    ['its queue’s if its handler allows more', {}, 30, 15],
    ['longer in a queue that allows more', { queue: 'slow', timeout_seconds: 25 }, 30, 25],
  ])('is %s', async (_name, settings, ofHandler, seconds) => {
    await database.sql(
      `insert into punctual.partitions (queue, partition, timeout_seconds) values ('jobs', 'slow', 25)`,
    );
    const { last_error, run_at } = await runOnce(hanging(ofHandler), settings);
    expect(last_error).toBe(`no answer within ${seconds * 1_000} ms`);
    expect(bench.clock.now() - Date.parse(run_at)).toBeLessThan(seconds * 1_000 + 1_000);
  });

  it('is its handler’s for a plain insert, and for a job created when the handler allowed more', async () => {
    const untilAborted: Job['run'] = (_payload, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    bench = jobBench(database, { stops: job(untilAborted, { timeoutSeconds: 2 }) });
    await database.sql(
      `insert into punctual.jobs (name, run_at, timeout_seconds) values ('stops', $1, null), ('stops', $1, 12)`,
      [bench.clock.date().toISOString()],
    );
    expect((await bench.tick()).performMs).toEqual({ p50: 2_000, p95: 2_000 });
    const last_error = 'the job reached its timeout of 2 s';
    for (const id of ['1', '2'])
      expect(await bench.job(id)).toMatchObject({ status: 'pending', attempts: 1, last_error });
  });

  it('leaves no timer behind', async () => {
    await runOnce(job(() => null, { timeoutSeconds: 9 }));
    await expect(bench.clock.run(new Promise(() => {}))).rejects.toThrow('no timer is set');
  });
});

describe('the attempts of a job', () => {
  it('are its own, or its handler’s if it has none', async () => {
    const fails = job(() => Promise.reject(new Error('no')), { maxAttempts: 7 });
    bench = jobBench(database, { fails });
    const [own, ofHandler] = await bench.create({ name: 'fails', max_attempts: 3 }, { name: 'fails' });
    await bench.runOut();
    expect(await bench.job(own)).toMatchObject({ status: 'failed', attempts: 3 });
    expect(await bench.job(ofHandler)).toMatchObject({ status: 'failed', attempts: 7 });
  });

  it.each([
    ['throws', new Error('no')],
    ['asks for a delay', new JobError('later', { afterSeconds: 5 })],
  ])(
    'are its handler’s for a plain insert that %s, and for a job that was created with more',
    async (_name, error) => {
      bench = jobBench(database, { fails: { ...throwing(error), maxAttempts: 2 } });
      await database.sql(
        `insert into punctual.jobs (name, run_at, max_attempts) values ('fails', $1, null), ('fails', $1, 20)`,
        [bench.clock.date().toISOString()],
      );
      await bench.runOut();
      for (const id of ['1', '2'])
        expect(await bench.job(id)).toMatchObject({
          status: 'failed',
          attempts: 2,
          last_error: error.message,
        });
    },
  );

  it('cannot exceed its handler’s', async () => {
    bench = jobBench(database, { twice: job(() => null, { maxAttempts: 2 }) });
    await expect(bench.create({ name: 'twice', max_attempts: 3 })).rejects.toMatchObject({
      errors: [{ index: 0, field: 'max_attempts', message: 'is 3; twice allows at most 2 attempts' }],
    });
  });

  it('are not used up by a rate limit', async () => {
    const error = Object.assign(new Error('slow down'), { kind: 'rate_limited', retryAfterSeconds: 60 });
    const row = await runOnce({ ...throwing(error), maxAttempts: 1 });
    expect(row).toMatchObject({ status: 'pending', attempts: 0, last_error: 'slow down' });
  });
});

describe('progress', () => {
  it('is visible while the job runs, and is kept', async () => {
    const seen: unknown[] = [];
    const counts = job(async (_payload, { jobId, progress }) => {
      for (let step = 1; step <= 5; step++) {
        progress({ step });
        await bench.sleep(1_500);
        seen.push((await bench.clock.busy(bench.job(jobId))).progress);
      }
    });
    expect(await runOnce(counts)).toMatchObject({ status: 'done', progress: { step: 5 } });
    expect(seen).toContainEqual({ step: 2 });
  });

  it('of more than 4 KB, or that is not JSON, is dropped and logged', async () => {
    const talks = job((_payload, { progress }) => ['kept', 'x'.repeat(5_000), 1n].forEach(progress));
    const { id, ...row } = await runOnce(talks);
    expect(row).toMatchObject({ status: 'done', progress: 'kept' });
    const fields = { job: String(id), name: 'it' };
    const dropped = 'a progress value was dropped: it is';
    expect(bench.logged).toEqual([
      { fields, message: `${dropped} 5002 bytes of JSON; the limit is 4096 bytes` },
      { fields, message: expect.stringContaining(`${dropped} not JSON`) },
    ]);
  });
});

it('a payload of null is stored as null, and is passed to a handler that accepts it', async () => {
  const given: unknown[] = [];
  const takes = defineJob({ payload: z.null(), run: (none) => void given.push(none) });
  expect(await runOnce(takes, { payload: null })).toMatchObject({ status: 'done', attempts: 1 });
  expect(given).toEqual([null]);
  expect(await database.sql('select jsonb_typeof(payload) as type from punctual.jobs')).toEqual([
    { type: 'null' },
  ]);
});

it('a job that kills its function is failed after its attempts, and its neighbours lose attempts to it and are done', async () => {
  let started = 0;
  const fine = job(() => {
    started++;
    return bench.sleep(1_000);
  });
  const kills = job(() => {
    bench.killFunction();
    return new Promise(() => {});
  });
  bench = jobBench(database, { fine, kills });
  const [culprit, ...neighbours] = await bench.create(
    { name: 'kills' },
    ...Array.from({ length: 29 }, () => ({ name: 'fine' })),
  );
  expect(await bench.tickUntilKilled()).toBe('killed');
  const afterwards = await Promise.all(neighbours.map((id) => bench.job(id)));
  const claimed = afterwards.filter(({ attempts }) => attempts === 1);
  expect(claimed.length).toBeGreaterThan(started);
  expect(claimed.every(({ status }) => status === 'running')).toBe(true);

  // The scheduler calls every minute for four hours.
  let killed = 1;
  for (let minute = 0; minute < 240; minute++) {
    bench.clock.skip(60_000);
    if ((await bench.tickUntilKilled()) === 'killed') killed++;
  }
  expect(killed).toBe(5);
  const last_error = 'the tick died while this row was running';
  expect(await bench.job(culprit)).toMatchObject({ status: 'failed', attempts: 5, last_error });
  for (const id of neighbours)
    expect(await bench.job(id)).toMatchObject({ status: 'done', last_error: null });
});
