import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { tick } from '../../../lib/engine/tick.ts';
import { defineJob, type Job, type JobContext } from '../../../lib/jobs/define-job.ts';
import { JobError } from '../../../lib/jobs/job-error.ts';
import { messageQueue } from '../../../lib/queues/pgmq/queue.ts';
import { messageQueues } from '../../support/message-queues.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';

const { database, add, send, places } = messageQueues();
let runs: { payload: unknown; context: JobContext }[];
beforeEach(() => {
  runs = [];
});

const job = (run: Job['run']) => defineJob({ payload: z.unknown(), run });
const throwing = (error: Error) => job(() => Promise.reject(error));
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
  anything: job(record),
  fails: throwing(new Error('out of paper')),
  'gives-up': throwing(new JobError('no such order', { retry: false })),
});

async function sendAll(...messages: unknown[]) {
  for (const message of messages) await send(message);
}
/** Runs a tick and returns its counts. */
async function runTick() {
  const ports = { ...realTimePorts(database.rpc), random: () => 0.5 };
  const options = { deps: null, partition: 'orders', limitMs: 60_000, scheduler: 'test' };
  return (await tick(queue, ports, options)).counts;
}
const payloads = () => runs.map(({ payload }) => payload);
const setAside = async () => (await places()).setAside;
/** Makes all messages visible. */
const showAll = () => database.sql('update pgmq.q_orders set vt = clock_timestamp()');

describe('a queue that was added with a job', () => {
  it('runs the job with each message as its payload, and archives the message', async () => {
    await add('orders', `, 'note'`);
    await sendAll({ n: 1 }, { n: 2 });
    expect(await runTick()).toMatchObject({ claimed: 2, done: 2 });
    expect(payloads()).toEqual([{ n: 1 }, { n: 2 }]);
    expect(runs[0]?.context).toMatchObject({ jobId: 'orders:1', attempt: 1 });
    const { queued, archived } = await places();
    expect([queued, archived]).toMatchObject([[], [{ message: { n: 1 } }, { message: { n: 2 } }]]);
  });

  it('accepts any JSON as the payload', async () => {
    const messages = [7, 'text', null, [1], { name: 'note' }];
    await add('orders', `, 'anything'`);
    await sendAll(...messages);
    await runTick();
    expect(payloads()).toEqual(messages);
  });

  it('sets aside at once a message that does not fit the job’s payload, and continues with the next', async () => {
    await add('orders', `, 'note'`);
    await sendAll({ n: 'one' }, { n: 2 });
    expect(await runTick()).toMatchObject({ done: 1, dead: 1 });
    const last_error = expect.stringMatching(/^the payload does not fit its schema: payload\.n: /);
    expect(await setAside()).toMatchObject([{ message: { n: 'one' }, attempts: 1, last_error }]);
  });
});

describe('a queue that was added without a job', () => {
  beforeEach(() => add());

  it('runs the job that each message names', async () => {
    await sendAll({ name: 'note', payload: { n: 1 } }, { name: 'anything' });
    expect(await runTick()).toMatchObject({ done: 2 });
    expect(payloads()).toEqual([{ n: 1 }, {}]);
  });

  it('sets aside at once a message that names no job, and says so', async () => {
    const messages = [7, 'note', null, ['note'], { payload: {} }, { name: '' }, { name: 7 }];
    await sendAll(...messages, { name: 'note', payload: { n: 1 } });
    expect(await runTick()).toMatchObject({ done: 1, dead: 7 });
    const last_error = expect.stringMatching(/^the message names no job: message/);
    expect(await setAside()).toMatchObject(messages.map((message) => ({ message, attempts: 1, last_error })));
  });

  it('retries a job name without code, since a deployment may be running, and sets the message aside in the end', async () => {
    await database.sql(`update punctual.queues set max_attempts = 2 where name = 'pgmq'`);
    await sendAll({ name: 'not-yet' });
    expect(await runTick()).toMatchObject({ retried: 1 });
    await showAll();
    expect(await runTick()).toMatchObject({ dead: 1 });
    const last_error = expect.stringMatching(/no job "not-yet"/);
    expect(await setAside()).toMatchObject([{ attempts: 2, last_error }]);
  });
});

it('a job that throws makes its message visible again after a backoff, and one that gives up sets it aside', async () => {
  await add();
  await sendAll({ name: 'fails' }, { name: 'gives-up' });
  expect(await runTick()).toMatchObject({ retried: 1, dead: 1 });
  expect(await setAside()).toMatchObject([{ attempts: 1, last_error: 'no such order' }]);
  const [{ seconds }] = await database.sql(
    'select ceil(extract(epoch from vt - clock_timestamp()))::integer as seconds from pgmq.q_orders',
  );
  expect(seconds).toBeGreaterThan(5);
  expect(seconds).toBeLessThanOrEqual(30);
  await showAll();
  await runTick();
  expect(await database.sql('select attempts, last_error from punctual.messages')).toContainEqual({
    attempts: 2,
    last_error: 'out of paper',
  });
});
