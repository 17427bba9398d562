import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { again, dead, done, type Outcome, retry, unknown } from '../../lib/engine/outcome.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';
import type { Perform, TestRow } from '../support/tick-bench.ts';

const database = testDatabase({ own: true });
const bench = perTestBench(database);

type Changes = Parameters<typeof bench.queue>[1];
const tick = (perform: Perform, changes?: Changes) => bench.tick(bench.queue(perform, changes));
const kindOfError = (kind: string, more: object = {}) =>
  Object.assign(new Error(`it was ${kind}`), { kind, ...more });
const rows = () => database.sql('select * from punctual.dm_queue order by id');

/** A perform function that counts its calls. */
function counting(perform: () => Promise<Outcome> | Outcome) {
  const counted = { calls: 0, perform: () => ++counted.calls > 0 && perform() };
  return counted as { calls: number; perform: Perform };
}

describe('a handler that throws', () => {
  it('is logged once, with its stack and without the row’s data that the error carries', async () => {
    await bench.addDms(1);
    const error = Object.assign(new TypeError('bug', { cause: new Error('below') }), { detail: 'message 1' });
    await tick(() => Promise.reject(error));
    const fields = { err: expect.any(Error), queue: 'dm_queue', id: expect.any(String), attempt: 1 };
    expect(bench.logged).toEqual([{ level: 'warn', fields, message: 'a handler threw an error' }]);
    const [{ err }] = bench.logged.map((line) => line.fields) as [{ err: Error }];
    expect(err).toMatchObject({ message: 'bug', stack: error.stack, cause: { message: 'below' } });
    expect(err).not.toHaveProperty('detail');
  });

  const fail = () => JSON.parse('{');
  const unreadable = 'the thrown value cannot be read';
  it.each([
    ['is long', new Error('x'.repeat(3_000_000)), 'x'.repeat(2_000)],
    ['is a string', 'text', 'not an error: text'],
    ['is undefined', undefined, 'not an error: undefined'],
    ['is a symbol', Symbol('x'), 'not an error: Symbol(x)'],
    ['has no prototype', Object.create(null), unreadable],
    [
      'has a message that throws',
      Object.defineProperty(new Error('x'), 'message', { get: fail }),
      unreadable,
    ],
    ['cannot be inspected', new Proxy({}, { get: fail, getPrototypeOf: fail }), unreadable],
  ])('is logged if the thrown value %s, and affects no other row', async (_case, thrown, message) => {
    await bench.addDms(2);
    await tick(({ body }) => {
      if (body === 'message 1') throw thrown;
      return done();
    });
    expect(bench.logged).toMatchObject([{ level: 'warn', fields: { err: { message } } }]);
    const failed = { status: 'unknown', last_error: expect.any(String) };
    expect(await rows()).toMatchObject([failed, { status: 'sent' }]);
  });

  it('is not logged if the error has a kind or the attempt timed out', async () => {
    await bench.addDms(2);
    let calls = 0;
    await tick((_row, { signal }) => {
      if (++calls === 1) throw kindOfError('not_sent');
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    });
    expect(calls).toBeGreaterThan(1);
    expect(bench.logged).toEqual([]);
  });
});

const throwing = (error: unknown) => () => Promise.reject(error);
const throwingKind = (kind: string, more?: object) => throwing(kindOfError(kind, more));
const bug = () => {
  throw new Error('bug');
};

describe('a handler', () => {
  it.each<[what: string, status: string, perform: unknown, row: object]>([
    ['returns done', 'sent', () => done(), {}],
    ['returns dead', 'failed', () => dead('wrong number'), { last_error: 'wrong number' }],
    ['returns unknown', 'unknown', () => unknown('who knows'), { last_error: 'who knows' }],
    ['returns retry', 'pending', () => retry('later'), { last_error: 'later', attempts: 1 }],
    ['returns again', 'pending', () => again(60), { attempts: 0 }],
    ['returns again after 0 seconds', 'failed', () => again(0), {}],
    ['returns nothing', 'unknown', () => undefined, { last_error: 'perform returned no outcome' }],
    [
      'returns what cannot be read',
      'unknown',
      () => ({
        get kind() {
          throw new Error('no');
        },
      }),
      { last_error: 'perform returned no outcome' },
    ],
    ['throws before its first await', 'unknown', bug, { last_error: 'bug' }],
    ['throws a string', 'unknown', throwing('text'), { last_error: 'text' }],
    ['throws rejected', 'failed', throwingKind('rejected'), { last_error: 'it was rejected' }],
    ['throws not_sent', 'pending', throwingKind('not_sent'), { attempts: 1 }],
    ['throws uncertain', 'unknown', throwingKind('uncertain'), {}],
    [
      'throws rate_limited',
      'pending',
      throwingKind('rate_limited', { retryAfterSeconds: 7 }),
      { attempts: 0 },
    ],
    ['throws account_refused', 'pending', throwingKind('account_refused'), { attempts: 0 }],
  ])('%s: the row is %s', async (_what, status, perform, row) => {
    await bench.addDms(1);
    await tick(perform as Perform);
    expect(await rows()).toEqual([expect.objectContaining({ status, ...row })]);
  });

  it('makes its row wait for a backoff with jitter, and no less than the provider asks', async () => {
    await bench.addDms(2);
    await tick((row) => {
      throw kindOfError('not_sent', row.body === 'message 2' ? { retryAfterSeconds: 600 } : {});
    });
    const waits = await database.sql(
      'select retry_at from punctual.pace where retry_at is not null order by 1',
    );
    expect(waits.map((wait) => Date.parse(wait.retry_at) - bench.clock.now())).toEqual([15_000, 600_000]);
  });

  it.each([0, -30])(
    'calls a rate-limited provider once, even if it allows a retry in %i s',
    async (seconds) => {
      await bench.addDms(1);
      await database.sql('update punctual.queues set batch_limit = null');
      const handler = counting(throwingKind('rate_limited', { retryAfterSeconds: seconds }));
      await tick(handler.perform);
      expect(handler.calls).toBe(1);
    },
  );

  it('affects only its own row if a schema throws, a result does not fit into JSON, or an error has NUL, half an emoji or 100 KB', async () => {
    await bench.addDms(7);
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const schema = z.object({
      id: z.coerce.string(),
      attempts: z.number(),
      body: z.string().transform((body) => {
        if (body === 'message 1') throw new Error('bug in a transform');
        return body;
      }),
    });
    const failed = (error: string): Outcome => ({
      ...dead(error),
      result: { provider_message_id: error.slice(0, 9) },
    });
    const outcomes = [
      done(circle),
      done({ provider_message_id: 10n }),
      done({ provider_message_id: 'fine' }),
      failed('\0 NUL'),
      failed('half \ud83d'),
      failed('x'.repeat(100_000)),
    ];
    await tick((row) => outcomes[Number(row.body.at(-1)) - 2] as Outcome, { row: schema });
    const hint = "Correct the schema in the queue's code, or the row";
    const columns = await rows();
    expect(
      columns.map(({ status, provider_message_id, last_error }) => [status, provider_message_id, last_error]),
    ).toEqual([
      ['pending', null, `the row's schema threw: bug in a transform. ${hint}`],
      ['sent', null, null],
      ['sent', 10, null],
      ['sent', 'fine', null],
      ['failed', ' NUL', ' NUL'],
      ['failed', 'half \ufffd', 'half \ufffd'],
      ['failed', 'xxxxxxxxx', 'x'.repeat(2_000)],
    ]);
  });
});

describe('a row that does not fit its schema', () => {
  const schema = (shape: object) =>
    z.object({ id: z.coerce.string(), attempts: z.number(), ...shape }) as unknown as z.ZodType<TestRow>;
  const misspelt = schema({ boddy: z.string() });
  const strict = schema({ body: z.string().refine((body) => body !== 'message 1', 'is wrong') });

  it('is sent once the schema is corrected: a typo in it costs the backlog nothing', async () => {
    await bench.addDms(30, { accounts: 3, dailyLimit: 30 });
    const handler = counting(() => done());
    const report = await tick(handler.perform, { row: misspelt });
    expect(report.counts).toMatchObject({ claimed: 30, retried: 30, dead: 0 });
    const errors = await database.sql('select distinct status, last_error from punctual.dm_queue');
    const last_error =
      'the row does not fit its schema: boddy: Invalid input: expected string, received undefined ' +
      "(the table has no such column). Correct the schema in the queue's code, or the row";
    expect(errors).toEqual([{ status: 'pending', last_error }]);
    expect(handler.calls).toBe(0);

    bench.clock.skip(300_000);
    expect((await tick(handler.perform)).counts).toMatchObject({ claimed: 30, done: 30 });
    expect(handler.calls).toBe(30);
    // Rows that never started take no place in the account's day.
    const used = await database.sql("select used from punctual.pace where queue = 'dm_queue'");
    expect(used).toEqual(Array(3).fill({ used: 10 }));
  });

  it('blocks no other row of its account, and is dead when its attempts are used up', async () => {
    await bench.addDms(3, { accounts: 1 });
    const handler = counting(() => done());
    const run = () => tick(handler.perform, { row: strict });
    await run();
    expect(await rows()).toMatchObject([{ status: 'pending' }, { status: 'sent' }, { status: 'sent' }]);
    for (let attempt = 2; attempt <= 5; attempt += 1) {
      bench.clock.skip(299_000);
      expect((await run()).counts.claimed).toBe(0);
      bench.clock.skip(200_000);
      expect((await run()).counts.claimed).toBe(1);
    }
    const last_error = expect.stringMatching(/^the row does not fit its schema: body: is wrong\. /);
    expect((await rows())[0]).toMatchObject({ status: 'failed', attempts: 5, last_error });
    expect(handler.calls).toBe(2);
  });
});

it('tells apart two attempts of one row that end at the same moment', async () => {
  const delivery = 'at-least-once';
  await database.sql(
    `update punctual.queues set delivery = 'at-least-once', backoff_base_seconds = 1 where name = 'dm_queue'`,
  );
  await bench.addDms(3);
  await database.sql('update punctual.dm_queue set timeout_seconds = 1 where id = 1');
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  await tick(
    async ({ id }, { attempt }) => {
      if (id !== '1') await bench.sleep(Number(id) * 2_000);
      // The first attempt times out, and ends right after the second.
      else if (attempt === 1) await ended.then(() => bench.sleep(5));
      else end();
      return done();
    },
    { delivery },
  );
  expect((await rows())[0]).toMatchObject({ status: 'sent', attempts: 2, lease_expires_at: null });
});

describe('a failing provider', () => {
  it('gets no more rows after five failures in a row', async () => {
    await bench.addDms(30);
    const handler = counting(throwingKind('uncertain'));
    expect((await tick(handler.perform)).ended).toBe('breaker');
    expect(handler.calls).toBeLessThanOrEqual(9);
    expect(await bench.states()).toEqual({ unknown: handler.calls, pending: 30 - handler.calls });
    expect((await tick(() => done())).counts.claimed).toBe(0);
  });

  it('is tried with one row after its pause', async () => {
    await bench.addDms(10);
    const failing = throwingKind('not_sent');
    await tick(failing);
    bench.clock.skip(31_000);
    const handler = counting(failing);
    await tick(handler.perform);
    expect(handler.calls).toBe(1);
  });
});
