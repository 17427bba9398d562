import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { again, dead, done, retry, unknown } from '../../lib/engine/outcome.ts';
import { perTestBench, testDatabase } from '../support/fixtures.ts';
import type { TestRow } from '../support/tick-bench.ts';

const database = testDatabase({ own: true });
const bench = perTestBench(database);

const kindOfError = (kind: string, more: object = {}) =>
  Object.assign(new Error(`it was ${kind}`), { kind, ...more });
const rowsWith = (status: string) =>
  database.sql(
    'select id::text as id, attempts, last_error, next_attempt_at, status from punctual.dm_queue where status = $1 order by id',
    [status],
  );

describe('a handler that throws', () => {
  it('is logged once, with its stack and without the row’s data that the error carries', async () => {
    await bench.addDms(1);
    const error = Object.assign(new TypeError('bug', { cause: new Error('below') }), { detail: 'message 1' });
    await bench.tick(bench.queue(() => Promise.reject(error)));
    expect(bench.logged).toEqual([
      {
        level: 'warn',
        fields: { err: expect.any(Error), queue: 'dm_queue', id: expect.any(String), attempt: 1 },
        message: 'a handler threw an error',
      },
    ]);
    const [{ err }] = bench.logged.map(({ fields }) => fields) as [{ err: Error }];
    expect(err).toMatchObject({ message: 'bug', stack: error.stack, cause: { message: 'below' } });
    expect(err).not.toHaveProperty('detail');
  });

  it.each([
    ['cannot be read', Object.create(null), 'the thrown value cannot be read'],
    ['is a string', 'text', 'not an error: text'],
    ['is long', new Error('x'.repeat(3_000_000)), 'x'.repeat(2_000)],
  ])('is logged if the thrown value %s', async (_case, thrown, message) => {
    await bench.addDms(1);
    await bench.tick(bench.queue(() => Promise.reject(thrown)));
    expect(bench.logged).toMatchObject([{ level: 'warn', fields: { err: { message } } }]);
  });

  it('is not logged if the error has a kind or the attempt timed out', async () => {
    await bench.addDms(2);
    let calls = 0;
    await bench.tick(
      bench.queue((_row, { signal }) => {
        if (++calls === 1) throw kindOfError('not_sent');
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      }),
    );
    expect(calls).toBeGreaterThan(1);
    expect(bench.logged).toEqual([]);
  });
});

describe('a handler', () => {
  const cases: [string, unknown, string, Record<string, unknown>][] = [
    ['returns done: the row is sent', () => done(), 'sent', {}],
    [
      'returns dead: the row fails with the reason',
      () => dead('wrong number'),
      'failed',
      { last_error: 'wrong number' },
    ],
    [
      'returns unknown: the row is unknown',
      () => unknown('who knows'),
      'unknown',
      { last_error: 'who knows' },
    ],
    [
      'returns retry: the row is pending and the attempt counts',
      () => retry('later'),
      'pending',
      { last_error: 'later', attempts: 1 },
    ],
    [
      'returns again: the row is pending and its count of attempts starts anew',
      () => again(60),
      'pending',
      { attempts: 0 },
    ],
    ['returns again after 0 seconds: the row fails', () => again(0), 'failed', {}],
    [
      'returns nothing: the row is unknown',
      () => undefined,
      'unknown',
      { last_error: 'perform returned no outcome' },
    ],
    [
      'throws before its first await: the row is unknown',
      () => {
        throw new Error('bug');
      },
      'unknown',
      { last_error: 'bug' },
    ],
    ['throws a string: the row is unknown', () => Promise.reject('text'), 'unknown', { last_error: 'text' }],
    [
      'throws rejected: the row fails',
      () => Promise.reject(kindOfError('rejected')),
      'failed',
      { last_error: 'it was rejected' },
    ],
    [
      'throws not_sent: the row is pending and the attempt counts',
      () => Promise.reject(kindOfError('not_sent')),
      'pending',
      { attempts: 1 },
    ],
    ['throws uncertain: the row is unknown', () => Promise.reject(kindOfError('uncertain')), 'unknown', {}],
    [
      'throws rate_limited: the row is pending and no attempt counts',
      () => Promise.reject(kindOfError('rate_limited', { retryAfterSeconds: 7 })),
      'pending',
      { attempts: 0 },
    ],
    [
      'throws account_refused: the row is pending and no attempt counts',
      () => Promise.reject(kindOfError('account_refused')),
      'pending',
      { attempts: 0, last_error: 'it was account_refused' },
    ],
  ];
  it.each(cases)('%s', async (_case, perform, status, row) => {
    await bench.addDms(1);
    await bench.tick(bench.queue(perform as never));
    expect(await rowsWith(status)).toEqual([expect.objectContaining(row)]);
  });

  it('makes its row wait for a backoff with jitter, and no less than the provider asks', async () => {
    await bench.addDms(2);
    await bench.tick(
      bench.queue((row) => {
        throw kindOfError('not_sent', row.body === 'message 2' ? { retryAfterSeconds: 600 } : {});
      }),
      { random: () => 0.5 },
    );
    const waits = await database.sql(
      `select retry_at from punctual.pace where retry_at is not null order by retry_at`,
    );
    expect(waits.map((wait) => Date.parse(wait.retry_at) - bench.clock.now())).toEqual([15_000, 600_000]);
  });

  it.each([0, -30])(
    'calls a rate-limited provider once in a tick, even if the provider asks for a retry in %i seconds',
    async (retryAfterSeconds) => {
      await bench.addDms(1);
      await database.sql('update punctual.queues set batch_limit = null');
      let calls = 0;
      await bench.tick(
        bench.queue(() => {
          calls++;
          throw kindOfError('rate_limited', { retryAfterSeconds });
        }),
      );
      expect(calls).toBe(1);
    },
  );

  it('affects only its own row if a schema throws or a result does not fit into JSON', async () => {
    await bench.addDms(4);
    const throwing = z.object({
      id: z.coerce.string(),
      attempts: z.number(),
      body: z.string().transform((body) => {
        if (body === 'message 1') throw new Error('bug in a transform');
        return body;
      }),
    });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const results = [circle, { provider_message_id: 10n }, { provider_message_id: 'fine' }];
    await bench.tick(bench.queue((row) => done(results[Number(row.body.at(-1)) - 2]), { row: throwing }));
    expect(
      await database.sql('select status, provider_message_id, last_error from punctual.dm_queue order by id'),
    ).toEqual([
      {
        status: 'pending',
        provider_message_id: null,
        last_error:
          "the row's schema threw: bug in a transform. Correct the schema in the queue's code, or the row",
      },
      { status: 'sent', provider_message_id: null, last_error: null },
      { status: 'sent', provider_message_id: 10, last_error: null },
      { status: 'sent', provider_message_id: 'fine', last_error: null },
    ]);
  });

  it('affects only its own row if a row does not fit its schema, or an error has NUL, half an emoji or 100 KB', async () => {
    await bench.addDms(5);
    await database.sql(`update punctual.dm_queue set body = '' where body = 'message 1'`);
    const strict = z.object({
      id: z.coerce.string(),
      body: z.string().min(1, 'is empty'),
      attempts: z.number(),
    });
    const errors = ['\0 NUL', 'half \ud83d', 'x'.repeat(100_000)];
    await bench.tick(
      bench.queue(
        (row) => {
          const error = errors[Number(row.body.at(-1)) - 2];
          return error ? { kind: 'dead', error, result: { provider_message_id: error.slice(0, 9) } } : done();
        },
        { row: strict },
      ),
    );
    expect(await bench.states()).toEqual({ pending: 1, failed: 3, sent: 1 });
    expect((await rowsWith('pending'))[0].last_error).toMatch(
      /^the row does not fit its schema: body: is empty\. /,
    );
    const failed = await rowsWith('failed');
    expect(failed.map((row) => row.last_error.slice(0, 50))).toEqual([' NUL', 'half \ufffd', 'x'.repeat(50)]);
    expect(failed[2].last_error).toHaveLength(2_000);
  });
});

describe('a row that does not fit its schema', () => {
  const schema = (shape: object) =>
    z.object({ id: z.coerce.string(), attempts: z.number(), ...shape }) as unknown as z.ZodType<TestRow>;
  const misspelt = schema({ boddy: z.string() });
  const strict = schema({ body: z.string().refine((body) => body !== 'message 1') });

  it('is sent once the schema is corrected: a typo in it costs the backlog nothing', async () => {
    await bench.addDms(30, { accounts: 3, dailyLimit: 30 });
    const sent: string[] = [];
    const perform = ({ id }: TestRow) => {
      sent.push(id);
      return done();
    };
    const report = await bench.tick(bench.queue(perform, { row: misspelt }));
    expect(report.counts).toMatchObject({ claimed: 30, retried: 30, dead: 0 });
    const waiting = await rowsWith('pending');
    expect(waiting.map((row) => row.last_error)).toEqual(
      Array(30).fill(
        'the row does not fit its schema: boddy: Invalid input: expected string, received undefined ' +
          "(the table has no such column). Correct the schema in the queue's code, or the row",
      ),
    );
    expect(sent).toEqual([]);

    bench.clock.skip(300_000);
    expect((await bench.tick(bench.queue(perform))).counts).toMatchObject({ claimed: 30, done: 30 });
    expect(new Set(sent).size).toBe(30);
    // Rows that never started take no place in the account's day.
    expect(await database.sql("select used from punctual.pace where queue = 'dm_queue'")).toEqual(
      Array(3).fill({ used: 10 }),
    );
  });

  it('blocks no other row of its account, and is dead when its attempts are used up', async () => {
    await bench.addDms(3, { accounts: 1 });
    const sent: string[] = [];
    const perform = ({ body }: TestRow) => {
      sent.push(body);
      return done();
    };
    const run = () => bench.tick(bench.queue(perform, { row: strict }));
    await run();
    expect(sent).toEqual(['message 2', 'message 3']);
    for (let attempt = 2; attempt <= 5; attempt += 1) {
      bench.clock.skip(299_000);
      expect((await run()).counts.claimed).toBe(0);
      bench.clock.skip(200_000);
      expect((await run()).counts.claimed).toBe(1);
    }
    expect(await rowsWith('failed')).toMatchObject([{ attempts: 5 }]);
    expect(sent).toHaveLength(2);
  });
});

it('tells apart two attempts of one row that end at the same moment', async () => {
  await database.sql(
    `update punctual.queues set delivery = 'at-least-once', backoff_base_seconds = 1 where name = 'dm_queue'`,
  );
  await bench.addDms(3);
  await database.sql('update punctual.dm_queue set timeout_seconds = 1 where id = 1');
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const queue = bench.queue(
    async ({ id }, { attempt }) => {
      if (id !== '1') await bench.sleep(Number(id) * 2_000);
      // The first attempt times out, and ends right after the second.
      else if (attempt === 1) await ended.then(() => bench.sleep(5));
      else end();
      return { kind: 'done' };
    },
    { delivery: 'at-least-once' },
  );
  await bench.tick(queue);
  expect(
    await database.sql('select status, attempts, lease_expires_at from punctual.dm_queue where id = 1'),
  ).toEqual([{ status: 'sent', attempts: 2, lease_expires_at: null }]);
});

describe('a failing provider', () => {
  it('gets no more rows after five failures in a row', async () => {
    await bench.addDms(30);
    let calls = 0;
    const report = await bench.tick(
      bench.queue(() => {
        calls++;
        throw kindOfError('uncertain');
      }),
    );
    expect(calls).toBeLessThanOrEqual(9);
    expect(report.ended).toBe('breaker');
    expect(await bench.states()).toEqual({ unknown: calls, pending: 30 - calls });
    const next = await bench.tick(bench.queue(() => done()));
    expect(next.counts.claimed).toBe(0);
  });

  it('is tried with one row after its pause', async () => {
    await bench.addDms(10);
    const failing = bench.queue(() => {
      throw kindOfError('not_sent');
    });
    await bench.tick(failing);
    bench.clock.skip(31_000);
    let calls = 0;
    await bench.tick(
      bench.queue(() => {
        calls++;
        throw kindOfError('not_sent');
      }),
    );
    expect(calls).toBe(1);
  });
});
