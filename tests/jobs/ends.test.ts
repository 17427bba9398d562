import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defineJob } from '../../lib/jobs/define-job.ts';
import { JobError } from '../../lib/jobs/job-error.ts';
import { testDatabase } from '../support/fixtures.ts';
import { jobBench } from '../support/job-bench.ts';

const database = testDatabase();
let bench: ReturnType<typeof jobBench>;

const payload = z.looseObject({});
const job = (run: () => unknown) => defineJob({ payload, run });
const throwing = (thrown: unknown) =>
  job(() => {
    throw thrown;
  });
const circle: { self?: unknown } = {};
circle.self = circle;
function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

const handlers = {
  good: defineJob({
    payload: z.object({ n: z.int() }),
    run: async ({ n }) => {
      await bench.sleep(100);
      return { squared: n * n };
    },
  }),
  throws: throwing(new Error('no luck')),
  'throws-later': job(async () => {
    await bench.sleep(50);
    throw new TypeError('no luck later');
  }),
  'throws-nothing': throwing(undefined),
  'throws-an-unreadable-value': throwing(Object.create(null)),
  'throws-a-long-message': throwing(new Error('x'.repeat(3_000_000))),
  'throws-an-error-without-text': throwing(Object.assign(new Error(), { message: { code: 7 } })),
  hangs: job(() => new Promise(() => {})),
  'returns-nothing': job(() => undefined),
  'returns-null': job(() => null),
  'returns-5-mb': job(() => 'x'.repeat(5 * 1_024 * 1_024)),
  'returns-a-circle': job(() => circle),
  'returns-a-bigint': job(() => ({ n: 1n })),
  'returns-a-function': job(() => () => 1),
  'returns-deep-nesting': job(() => nested(3_000)),
  'returns-nul': job(() => ({ 'a\0b': 'c\0d\ud800' })),
  'returns-an-outcome': job(() => ({ kind: 'dead', error: 'only a result' })),
  'gives-up': throwing(new JobError('the customer is gone', { retry: false })),
  'waits-a-day': throwing(new JobError('closed today', { afterSeconds: 86_400 })),
};
type Name = keyof typeof handlers;

beforeEach(async () => {
  bench = jobBench(database, handlers);
});

/** Creates a job `name`, which is due first, and eleven good ones. */
async function amongGoodOnes(name: Name): Promise<{ bad: string; good: string[] }> {
  const run_at = new Date(bench.clock.now() - 1_000).toISOString();
  const [bad = '', ...good] = await bench.create(
    { name, run_at },
    ...Array.from({ length: 11 }, (_, n) => ({ name: 'good', payload: { n } })),
  );
  return { bad, good };
}

async function expectAllDone(good: string[], from: number) {
  for (const [n, id] of good.entries()) {
    expect(await bench.job(id)).toMatchObject({ status: 'done', attempts: 1, result: { squared: n * n } });
    expect(await bench.finishedAfter(id, from)).toBeLessThan(1);
  }
}

describe('a tick with one bad handler and eleven good ones', () => {
  it.each<[name: Name, lastError: RegExp]>([
    ['throws', /^no luck$/],
    ['throws-later', /^no luck later$/],
    ['throws-nothing', /^the job threw undefined$/],
    ['throws-an-unreadable-value', /^the job threw a value that cannot be read$/],
    ['throws-a-long-message', /^x{2000}$/],
    ['throws-an-error-without-text', /^Error: \{"code":7\}$/],
    ['hangs', /^no answer within 15000 ms$/],
  ])(
    '%s: retries the bad job until its attempts are used up, and completes the good ones',
    async (name, lastError) => {
      const startedAt = bench.clock.now();
      const { bad, good } = await amongGoodOnes(name);
      const report = await bench.tick();
      expect(report).toMatchObject({
        outcome: 'ran',
        counts: { claimed: 12, done: 11, retried: 1, lost: 0 },
      });
      await expectAllDone(good, startedAt);
      expect(await bench.job(bad)).toMatchObject({ status: 'pending', attempts: 1, result: null });

      await bench.runOut();
      const failed = await bench.job(bad);
      expect(failed).toMatchObject({ status: 'failed', attempts: 5, result: null });
      expect(failed.last_error).toMatch(lastError);
    },
  );

  it.each<[name: Name, result: unknown]>([
    ['returns-nothing', null],
    ['returns-null', null],
    ['returns-5-mb', { omitted: 'the result is 5242882 bytes of JSON; the limit is 65536 bytes' }],
    ['returns-a-circle', { omitted: expect.stringMatching(/^the result is not JSON: .*circular/) }],
    ['returns-a-bigint', { omitted: expect.stringMatching(/^the result is not JSON: .*BigInt/) }],
    ['returns-a-function', { omitted: 'the result is not JSON: its type is function' }],
    ['returns-deep-nesting', { omitted: 'the result is nested more than 64 levels deep' }],
    ['returns-nul', { ab: 'cd\ufffd' }],
    ['returns-an-outcome', { kind: 'dead', error: 'only a result' }],
  ])('%s: completes all jobs', async (name, result) => {
    const startedAt = bench.clock.now();
    const { bad, good } = await amongGoodOnes(name);
    expect((await bench.tick()).counts).toMatchObject({ claimed: 12, done: 12, lost: 0 });
    expect(await bench.job(bad)).toMatchObject({ status: 'done', attempts: 1, result, last_error: null });
    await expectAllDone(good, startedAt);
  });

  it('completes the good jobs beside all bad handlers at once', async () => {
    const names = Object.keys(handlers).filter((name) => name !== 'good');
    await bench.create(...names.map((name) => ({ name })));
    const good = await bench.create(
      ...Array.from({ length: 10 }, (_, n) => ({ name: 'good', payload: { n } })),
    );
    await bench.tick();
    for (const id of good) expect(await bench.job(id)).toMatchObject({ status: 'done', attempts: 1 });
    expect(bench.logged.filter(({ message }) => message.includes('could not be'))).toEqual([]);
  });
});

describe('a job whose handler ends after its timeout', () => {
  it('is done if its tick still runs', async () => {
    const takes = (ms: number) => job(() => bench.sleep(ms).then(() => ({ ms })));
    bench = jobBench(database, { late: takes(17_000), slow: takes(14_000) });
    const [late] = await bench.create(
      { name: 'late' },
      ...Array.from({ length: 9 }, () => ({ name: 'slow' })),
    );
    await bench.tick();
    expect(await bench.job(late)).toMatchObject({ status: 'done', attempts: 1, result: { ms: 17_000 } });
  });
});

describe('a JobError', () => {
  it('with `retry: false` fails the job at once', async () => {
    const [id] = await bench.create({ name: 'gives-up' });
    expect((await bench.tick()).counts).toMatchObject({ dead: 1 });
    expect(await bench.job(id)).toMatchObject({
      status: 'failed',
      attempts: 1,
      last_error: 'the customer is gone',
    });
  });

  it('with `afterSeconds` delays the retry', async () => {
    const [id] = await bench.create({ name: 'waits-a-day' });
    await bench.tick();
    const waiting = await bench.job(id);
    expect(waiting).toMatchObject({ status: 'pending', last_error: 'closed today' });
    expect(Date.parse(waiting.next_attempt_at) - bench.clock.now()).toBeCloseTo(86_400_000, -2);
  });
});

describe('an error of a handler', () => {
  it('is logged once for each attempt, the last one included, with its stack', async () => {
    const [id] = await bench.create({ name: 'throws', max_attempts: 2 });
    await bench.runOut();
    expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 2 });
    const expected = (attempt: number) => ({
      fields: { err: expect.objectContaining({ message: 'no luck' }), attempt, job: id, name: 'throws' },
      message: 'a job threw an error',
    });
    expect(bench.logged).toEqual([expected(1), expected(2)]);
    for (const { fields } of bench.logged)
      expect((fields as { err: Error }).err.stack).toContain('ends.test.ts');
  });

  it('is not logged if it is a JobError', async () => {
    await bench.create({ name: 'gives-up' });
    await bench.tick();
    expect(bench.logged).toEqual([]);
  });
});

describe('an error with one of Punctual’s kinds', () => {
  it.each<[name: string, changes: object, lastError: string]>([
    ['an object for a message', { message: { code: 7 } }, 'Error: {"code":7}'],
    ['a number for a message', { message: 42 }, 'Error: 42'],
    ['an array for a message', { message: ['a'] }, 'Error: ["a"]'],
    ['no message', { message: undefined }, 'Error'],
    ['an array for a name and no message', { message: '', name: ['Odd'] }, 'Odd'],
  ])('and %s is judged by its kind', async (_name, changes, lastError) => {
    bench = jobBench(database, {
      refused: throwing(Object.assign(new Error(), { kind: 'rejected' }, changes)),
    });
    const [id] = await bench.create({ name: 'refused' });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts: 1, last_error: lastError });
  });

  it('and a message that throws is judged by its kind', async () => {
    const error = Object.defineProperty(Object.assign(new Error(), { kind: 'rejected' }), 'message', {
      get: () => {
        throw new Error('not for you');
      },
    });
    bench = jobBench(database, { refused: throwing(error) });
    const [id] = await bench.create({ name: 'refused' });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({
      status: 'failed',
      attempts: 1,
      last_error: 'the job threw a value that cannot be read',
    });
  });
});

describe('a job whose handler is removed while it waits', () => {
  const { throws: _gone, ...rest } = handlers;

  it('waits for a deployment that has it, and its row says so', async () => {
    const startedAt = bench.clock.now();
    const { bad, good } = await amongGoodOnes('returns-null');
    const { 'returns-null': _removed, ...without } = handlers;
    expect((await bench.tick({}, without)).counts).toMatchObject({ done: 11, retried: 1 });
    await expectAllDone(good, startedAt);
    const waiting = await bench.job(bad);
    expect(waiting).toMatchObject({ status: 'pending', attempts: 1 });
    expect(waiting.last_error).toMatch(/^this deployment has no job "returns-null"; it has good, throws, /);

    bench.clock.skip(3_600_000);
    await bench.tick();
    expect(await bench.job(bad)).toMatchObject({ status: 'done', attempts: 2 });
  });

  it('is failed after its attempts, with that reason', async () => {
    const [id] = await bench.create({ name: 'throws', max_attempts: 2 });
    await bench.runOut('default', rest);
    const failed = await bench.job(id);
    expect(failed).toMatchObject({ status: 'failed', attempts: 2 });
    expect(failed.last_error).toMatch(/^this deployment has no job "throws"/);
  });
});

describe('a job whose payload no longer fits', () => {
  it('is failed at once, with the reason', async () => {
    const startedAt = bench.clock.now();
    const { bad, good } = await amongGoodOnes('returns-null');
    const stricter = defineJob({ payload: z.object({ to: z.email() }), run: () => null });
    await bench.tick({}, { ...handlers, 'returns-null': stricter });
    const failed = await bench.job(bad);
    expect(failed).toMatchObject({ status: 'failed', attempts: 1 });
    expect(failed.last_error).toMatch(/^the payload does not fit its schema: payload\.to: /);
    await expectAllDone(good, startedAt);
  });
});

describe('the timeout of a job', () => {
  it.each<[name: string, job: object, seconds: number]>([
    ['its own', { timeout_seconds: 3 }, 3],
    ['its handler’s if it has none', {}, 6],
  ])('is %s', async (_name, settings, seconds) => {
    const hangs = defineJob({ payload, timeoutSeconds: 6, run: () => new Promise(() => {}) });
    bench = jobBench(database, { ...handlers, hangs });
    const [id] = await bench.create({ name: 'hangs', ...settings });
    const startedAt = bench.clock.now();
    await bench.tick();
    expect((await bench.job(id)).last_error).toBe(`no answer within ${seconds * 1_000} ms`);
    expect(bench.clock.now() - startedAt).toBeLessThan(seconds * 1_000 + 1_000);
  });

  it('is never longer than its queue’s, even if the handler allows more', async () => {
    const hangs = defineJob({ payload, timeoutSeconds: 30, run: () => new Promise(() => {}) });
    bench = jobBench(database, { ...handlers, hangs });
    const [id] = await bench.create({ name: 'hangs' });
    await bench.tick();
    expect((await bench.job(id)).last_error).toBe('no answer within 15000 ms');
  });

  it('is its handler’s for a plain insert, and for a job created when the handler allowed more', async () => {
    const stops = defineJob({
      payload,
      timeoutSeconds: 2,
      run: (_payload, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    });
    bench = jobBench(database, { stops });
    await database.sql(
      `insert into punctual.jobs (name, run_at, timeout_seconds) values ('stops', $1, null), ('stops', $1, 12)`,
      [bench.clock.date().toISOString()],
    );
    const report = await bench.tick();
    expect(report.performMs).toEqual({ p50: 2_000, p95: 2_000 });
    for (const id of ['1', '2']) {
      expect(await bench.job(id)).toMatchObject({
        status: 'pending',
        attempts: 1,
        last_error: 'the job reached its timeout of 2 s',
      });
    }
  });

  it('leaves no timer behind', async () => {
    const quick = defineJob({ payload, timeoutSeconds: 9, run: () => null });
    bench = jobBench(database, { quick });
    await bench.create({ name: 'quick' });
    await bench.tick();
    const waits = bench.clock.run(new Promise(() => {}));
    await expect(waits).rejects.toThrow('no timer is set');
  });

  it('can be longer in a queue of its own', async () => {
    const hangs = defineJob({ payload, run: () => new Promise(() => {}) });
    bench = jobBench(database, { hangs });
    await database.sql(
      `insert into punctual.partitions (queue, partition, timeout_seconds) values ('jobs', 'slow', 25)`,
    );
    const [id] = await bench.create({ name: 'hangs', queue: 'slow', timeout_seconds: 25 });
    await bench.tick({ partition: 'slow' });
    expect((await bench.job(id)).last_error).toBe('no answer within 25000 ms');
  });
});

describe('the attempts of a job', () => {
  it.each<[name: string, job: object, attempts: number]>([
    ['its own', { max_attempts: 3 }, 3],
    ['its handler’s if it has none', {}, 7],
  ])('are %s', async (_name, settings, attempts) => {
    const fails = defineJob({ payload, maxAttempts: 7, run: () => Promise.reject(new Error('no')) });
    bench = jobBench(database, { fails });
    const [id] = await bench.create({ name: 'fails', ...settings });
    await bench.runOut();
    expect(await bench.job(id)).toMatchObject({ status: 'failed', attempts });
  });

  it.each<[name: string, run: () => unknown, lastError: RegExp]>([
    ['throws', () => Promise.reject(new Error('no')), /^no$/],
    [
      'asks for a delay',
      throwing(new JobError('later', { afterSeconds: 5 })).run as () => unknown,
      /^later$/,
    ],
  ])(
    'are its handler’s for a plain insert that %s, and for a job that was created with more',
    async (_name, run, lastError) => {
      bench = jobBench(database, { fails: defineJob({ payload, maxAttempts: 2, run }) });
      await database.sql(
        `insert into punctual.jobs (name, run_at, max_attempts) values ('fails', $1, null), ('fails', $1, 20)`,
        [bench.clock.date().toISOString()],
      );
      await bench.runOut();
      for (const id of ['1', '2']) {
        const failed = await bench.job(id);
        expect(failed).toMatchObject({ status: 'failed', attempts: 2 });
        expect(failed.last_error).toMatch(lastError);
      }
    },
  );

  it('cannot exceed its handler’s', async () => {
    bench = jobBench(database, { twice: defineJob({ payload, maxAttempts: 2, run: () => null }) });
    const message = 'is 3; twice allows at most 2 attempts';
    await expect(bench.create({ name: 'twice', max_attempts: 3 })).rejects.toMatchObject({
      errors: [{ index: 0, field: 'max_attempts', message }],
    });
  });

  it('are not used up by a rate limit', async () => {
    const error = Object.assign(new Error('slow down'), { kind: 'rate_limited', retryAfterSeconds: 60 });
    bench = jobBench(database, {
      limited: defineJob({ payload, maxAttempts: 1, run: () => Promise.reject(error) }),
    });
    const [id] = await bench.create({ name: 'limited' });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'pending', attempts: 0, last_error: 'slow down' });
  });
});

describe('progress', () => {
  it('is visible while the job runs, and is kept', async () => {
    const seen: unknown[] = [];
    const counts = defineJob({
      payload,
      async run(_payload, { jobId, progress }) {
        for (let n = 1; n <= 5; n++) {
          progress({ step: n });
          await bench.sleep(1_500);
          seen.push((await bench.clock.busy(bench.job(jobId))).progress);
        }
      },
    });
    bench = jobBench(database, { counts });
    const [id] = await bench.create({ name: 'counts' });
    await bench.tick();
    expect(seen).toContainEqual({ step: 2 });
    expect(await bench.job(id)).toMatchObject({ status: 'done', progress: { step: 5 } });
  });

  it('of more than 4 KB, or that is not JSON, is dropped and logged', async () => {
    const talks = defineJob({
      payload,
      async run(_payload, { progress }) {
        progress('kept');
        progress('x'.repeat(5_000));
        progress(1n);
      },
    });
    bench = jobBench(database, { talks });
    const [id] = await bench.create({ name: 'talks' });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'done', progress: 'kept' });
    expect(bench.logged).toEqual([
      {
        fields: { job: id, name: 'talks' },
        message: 'a progress value was dropped: it is 5002 bytes of JSON; the limit is 4096 bytes',
      },
      {
        fields: { job: id, name: 'talks' },
        message: expect.stringMatching(/^a progress value was dropped: it is not JSON/),
      },
    ]);
  });
});

describe('a payload of null', () => {
  it('is stored as null, and is passed to a handler that accepts it', async () => {
    const given: unknown[] = [];
    const takes = defineJob({ payload: z.null(), run: (none) => void given.push(none) });
    bench = jobBench(database, { takes });
    const [id] = await bench.create({ name: 'takes', payload: null });
    const [kept] = await database.sql('select jsonb_typeof(payload) as type from punctual.jobs');
    expect(kept).toEqual({ type: 'null' });
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({ status: 'done', attempts: 1 });
    expect(given).toEqual([null]);
  });
});

describe('a job that expires', () => {
  it('does not run after its expiry', async () => {
    const [id] = await bench.create({
      name: 'throws',
      expires_at: new Date(bench.clock.now() + 1_000).toISOString(),
    });
    bench.clock.skip(2_000);
    await bench.tick();
    expect(await bench.job(id)).toMatchObject({
      status: 'failed',
      attempts: 0,
      last_error: 'expired before it could start',
    });
  });
});

describe('a job that kills its function', () => {
  it('is failed after its attempts, and its neighbours lose attempts to it and are done', async () => {
    const started = new Map<string, number>();
    const fine = defineJob({
      payload,
      async run(_payload, { jobId }) {
        started.set(jobId, (started.get(jobId) ?? 0) + 1);
        await bench.sleep(1_000);
      },
    });
    const kills = defineJob({
      payload,
      run() {
        bench.killFunction();
        return new Promise(() => {});
      },
    });
    bench = jobBench(database, { fine, kills });
    const [culprit, ...neighbours] = await bench.create(
      { name: 'kills' },
      ...Array.from({ length: 29 }, () => ({ name: 'fine' })),
    );
    expect(await bench.tickUntilKilled()).toBe('killed');
    const afterwards = await Promise.all(neighbours.map((id) => bench.job(id)));
    const claimed = afterwards.filter(({ attempts }) => attempts === 1);
    expect(claimed.length).toBeGreaterThan(started.size);
    expect(claimed.every(({ status }) => status === 'running')).toBe(true);

    // The scheduler calls every minute for four hours.
    let killed = 1;
    for (let minute = 0; minute < 240; minute++) {
      bench.clock.skip(60_000);
      if ((await bench.tickUntilKilled()) === 'killed') killed++;
    }
    expect(killed).toBe(5);
    expect(await bench.job(culprit)).toMatchObject({
      status: 'failed',
      attempts: 5,
      last_error: 'the tick died while this row was running',
    });
    for (const id of neighbours)
      expect(await bench.job(id)).toMatchObject({ status: 'done', last_error: null });
  });
});
