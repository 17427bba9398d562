import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { startSandbox } from '../../lib/sandbox/sandbox.ts';
import { perTestStackBench, testStack } from './test-stack.ts';
import { dmTick } from './tick-process.ts';

const stack = testStack();
const bench = perTestStackBench(stack);
beforeEach(async () => {
  await stack.sql('update punctual.queues set batch_limit = 30, concurrency = 5');
  stack.gateway.resetCalls();
});

it('an idle tick costs one call, even with settled rows and rows due tomorrow in the table', async () => {
  await bench.addDms(40);
  await stack.sql(`update punctual.dm_queue set status = 'sent', finished_at = now() where id <= 20`);
  await stack.sql(`update punctual.dm_queue set send_at = now() + interval '1 day' where id > 20`);
  expect(await bench.tick()).toMatchObject({ outcome: 'idle', exchanges: 1 });
  expect(stack.gateway.calls()).toEqual(['rpc/exchange']);
});

it('a small tick costs two calls: one claims, the other settles and closes', async () => {
  await bench.addDms(3);
  expect(await bench.tick()).toMatchObject({ ended: 'drained', counts: { claimed: 3, done: 3 } });
  expect(stack.gateway.calls()).toEqual(['rpc/exchange', 'rpc/exchange']);
});

it('a tick that sends 30 rows, 5 at a time, costs at most one call a row', async () => {
  const sandbox = await startSandbox({ latencyMs: [300, 600] });
  try {
    await bench.addDms(30);
    await stack.sql(`update punctual.dm_queue set chat_id = null, recipient = 'person-' || id`);
    const report = await dmTick({
      ...stack.settings,
      unipile: { dsn: sandbox.url, apiKey: 'sandbox-key' },
    });
    const calls = stack.gateway.calls().length;
    console.log(
      `30 rows at concurrency 5: ${calls} calls in ${report.usedMs} ms, p50 ${report.performMs.p50} ms a row`,
    );
    expect(report).toMatchObject({ outcome: 'ran', exchanges: calls, counts: { claimed: 30, done: 30 } });
    expect(sandbox.deliveries()).toHaveLength(30);
    expect(await bench.states()).toEqual({ sent: 30 });
    expect(calls).toBeLessThanOrEqual(31);
    // The five slots are used: one at a time, the rows would take 13 s.
    expect(report.usedMs).toBeLessThan(6_000);
  } finally {
    await sandbox.close();
  }
});

it('a response with 1,500 claimed rows arrives whole, beyond PostgREST’s limit of 1,000, and again if the call is repeated', async () => {
  await stack.sql('update punctual.queues set batch_limit = null');
  await bench.addDms(1_500);
  const tick = { id: crypto.randomUUID(), queue: 'dm_queue', partition: 'main', limit_seconds: 60 };
  const exchange = async () => {
    const call = { p_tick: { ...tick, providers: ['unipile'] }, p_seq: 1, p_want: 1_500 };
    const { rows } = (await stack.rpc('exchange', call)) as { rows: { id: string }[] };
    return rows.map(({ id }) => id).sort();
  };
  const ids = await exchange();
  expect(new Set(ids).size).toBe(1_500);
  expect(await bench.states()).toEqual({ sending: 1_500 });
  expect(await exchange()).toEqual(ids);
  expect(await stack.sql('select claimed from punctual.ticks')).toEqual([{ claimed: 1_500 }]);
});

it('a tick at concurrency 1,000 performs 1,500 rows, each once', async () => {
  await stack.sql('update punctual.queues set batch_limit = null, concurrency = 1000');
  await bench.addDms(1_500);
  const performed: string[] = [];
  const report = await bench.tick(async (row) => {
    await sleep(100);
    performed.push(row.id);
    return done();
  });
  expect(report).toMatchObject({ ended: 'drained', counts: { claimed: 1_500, done: 1_500, lost: 0 } });
  expect(performed).toHaveLength(1_500);
  expect(new Set(performed).size).toBe(1_500);
  expect(await bench.states()).toEqual({ sent: 1_500 });
});
