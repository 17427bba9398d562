import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../../lib/engine/ports/clock.ts';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { tick } from '../../../lib/engine/tick.ts';
import { defineJob, type JobContext } from '../../../lib/jobs/define-job.ts';
import { JobError } from '../../../lib/jobs/job-error.ts';
import { messageQueue } from '../../../lib/queues/pgmq/queue.ts';
import { queueStore } from '../../../lib/store/queue-store.ts';
import { installPgmq } from '../../support/pgmq-sql.ts';
import { openTestDatabase, type TestDatabase } from '../../support/test-database.ts';

let database: TestDatabase;
let runs: { payload: unknown; context: JobContext }[];

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
  await installPgmq(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  await database.sql('truncate punctual.messages, punctual.set_aside_messages');
  await database.sql('select pgmq.drop_queue(queue_name) from pgmq.list_queues()');
  await database.sql(`select pgmq.create('orders')`);
  runs = [];
});

const record = (payload: unknown, context: JobContext) => void runs.push({ payload, context });
const queue = messageQueue({
  note: defineJob({
    payload: z.object({ n: z.int() }),
    run(payload, context) {
      record(payload, context);
      context.progress({ half: true });
      return { seen: payload.n };
    },
  }),
  anything: defineJob({ payload: z.unknown(), run: record }),
  fails: defineJob({
    payload: z.unknown(),
    run() {
      throw new Error('out of paper');
    },
  }),
  'gives-up': defineJob({
    payload: z.unknown(),
    run() {
      throw new JobError('no such order', { retry: false });
    },
  }),
  hangs: defineJob({ payload: z.unknown(), run: () => new Promise(() => {}) }),
});

const add = (more = '') => database.sql(`select punctual.add_message_queue('orders'${more})`);
const send = (message: unknown) =>
  database.sql(`select pgmq.send('orders', $1::jsonb)`, [JSON.stringify(message)]);
const runTick = () =>
  tick(
    queue,
    {
      store: queueStore(database.rpc),
      clock: systemClock,
      log: silentLog,
      random: () => 0.5,
      newId: () => crypto.randomUUID(),
      lock: null,
    },
    { deps: null, partition: 'orders', limitMs: 60_000, scheduler: 'test' },
  );
const archived = async () =>
  (await database.sql('select message from pgmq.a_orders order by msg_id')).map((row) => row.message);
const setAside = () =>
  database.sql('select message, attempts, last_error from punctual.set_aside_messages order by msg_id');
/** Makes all messages visible. */
const showAll = () => database.sql('update pgmq.q_orders set vt = clock_timestamp()');

describe('a queue that was added with a job', () => {
  it('runs the job with each message as its payload, and archives the message', async () => {
    await add(`, 'note'`);
    await send({ n: 1 });
    await send({ n: 2 });
    expect((await runTick()).counts).toMatchObject({ claimed: 2, done: 2 });
    expect(runs.map((run) => run.payload)).toEqual([{ n: 1 }, { n: 2 }]);
    expect(runs[0]?.context).toMatchObject({ jobId: 'orders:1', attempt: 1 });
    expect(await archived()).toEqual([{ n: 1 }, { n: 2 }]);
  });

  it.each([7, 'text', null, [1], { name: 'note' }])('accepts %j as the payload', async (message) => {
    await add(`, 'anything'`);
    await send(message);
    await runTick();
    expect(runs.map((run) => run.payload)).toEqual([message]);
  });

  it('sets aside at once a message that does not fit the job’s payload, and continues with the next', async () => {
    await add(`, 'note'`);
    await send({ n: 'one' });
    await send({ n: 2 });
    expect((await runTick()).counts).toMatchObject({ done: 1, dead: 1 });
    expect(await setAside()).toEqual([
      {
        message: { n: 'one' },
        attempts: 1,
        last_error: expect.stringMatching(/^the payload does not fit its schema: payload\.n: /),
      },
    ]);
  });
});

describe('a queue that was added without a job', () => {
  beforeEach(() => add());

  it('runs the job that each message names', async () => {
    await send({ name: 'note', payload: { n: 1 } });
    await send({ name: 'anything' });
    expect((await runTick()).counts).toMatchObject({ done: 2 });
    expect(runs.map((run) => run.payload)).toEqual([{ n: 1 }, {}]);
  });

  it.each([7, 'note', null, ['note'], { payload: {} }, { name: '' }, { name: 7 }])(
    'sets aside %j at once, and says that it names no job',
    async (message) => {
      await send(message);
      await send({ name: 'note', payload: { n: 1 } });
      expect((await runTick()).counts).toMatchObject({ done: 1, dead: 1 });
      expect(await setAside()).toEqual([
        {
          message,
          attempts: 1,
          last_error: expect.stringMatching(/^the message names no job: message/),
        },
      ]);
    },
  );

  it('retries a job name without code, since a deployment may be running, and sets the message aside in the end', async () => {
    await database.sql(`update punctual.queues set max_attempts = 2 where name = 'pgmq'`);
    await send({ name: 'not-yet' });
    expect((await runTick()).counts).toMatchObject({ retried: 1 });
    await showAll();
    expect((await runTick()).counts).toMatchObject({ dead: 1 });
    expect(await setAside()).toMatchObject([
      { attempts: 2, last_error: expect.stringMatching(/no job "not-yet"/) },
    ]);
  });
});

describe('a job', () => {
  beforeEach(() => add());

  it('that throws makes its message visible again after a backoff', async () => {
    await send({ name: 'fails' });
    expect((await runTick()).counts).toMatchObject({ retried: 1 });
    const [message] = await database.sql(
      'select ceil(extract(epoch from vt - clock_timestamp()))::integer as seconds from pgmq.q_orders',
    );
    expect(message.seconds).toBeGreaterThan(5);
    expect(message.seconds).toBeLessThanOrEqual(30);
    await showAll();
    await runTick();
    expect(await database.sql('select attempts, last_error from punctual.messages')).toEqual([
      { attempts: 2, last_error: 'out of paper' },
    ]);
  });

  it('that gives up sets its message aside at once', async () => {
    await send({ name: 'gives-up' });
    expect((await runTick()).counts).toMatchObject({ dead: 1 });
    expect(await setAside()).toMatchObject([{ attempts: 1, last_error: 'no such order' }]);
  });

  it('that hangs is abandoned at its timeout, and its message is retried', async () => {
    await add(`, p_settings => '{"timeout_seconds": 1}'`);
    await send({ name: 'hangs' });
    await send({ name: 'note', payload: { n: 1 } });
    expect((await runTick()).counts).toMatchObject({ done: 1, retried: 1 });
    expect(
      await database.sql('select last_error from punctual.messages where last_error is not null'),
    ).toEqual([{ last_error: 'no answer within 1000 ms' }]);
  });
});
