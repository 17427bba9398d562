import { beforeEach, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { type Action, runAction } from '../../lib/operate/rows/actions.ts';
import type { TestRow } from '../support/tick-bench.ts';
import { perTestStackBench, testStack } from './test-stack.ts';

const stack = testStack();
const bench = perTestStackBench(stack);
beforeEach(() =>
  stack.sql(`update punctual.queues set max_ticks = 8, batch_limit = null where name = 'dm_queue'`),
);

const start = (p_action: string, p_filter: object, more: object = {}) =>
  stack.rpc('start_action', { p_queue: 'dm_queue', p_action, p_filter, ...more }) as Promise<Action>;

/** Ticks from four sessions until `isOver`. Returns the performed rows in order. */
async function tickUntil(isOver: () => boolean): Promise<string[]> {
  const performed: string[] = [];
  const session = async () => {
    while (!isOver())
      await bench.tick((row: TestRow) => {
        performed.push(row.body);
        return done();
      });
  };
  await Promise.all([session(), session(), session(), session()]);
  return performed;
}

const leftOver = async () =>
  Number(
    (
      await stack.sql(
        `select count(*) as n from punctual.dm_queue where status in ('failed', 'pending', 'sending')`,
      )
    )[0]?.n,
  );

it('ticks and three callers run a retry of 1,000 messages at once, and each message is sent once', async () => {
  await bench.addDms(1_000, { accounts: 200 });
  await stack.sql(
    `update punctual.dm_queue set status = 'failed', attempts = 5, finished_at = now() - interval '1 minute'`,
  );
  const keyed = { p_key: 'once' };
  const started = await Promise.all([1, 2, 3].map(() => start('retry', { status: ['failed'] }, keyed)));
  expect(new Set(started.map(({ id }) => id)).size).toBe(1);
  const { id = '' } = started[0] ?? {};
  let isOver = false;
  const callers = Promise.all([1, 2, 3].map(() => runAction(stack.rpc, id, 60_000)));
  const watching = (async () => {
    while (!isOver) isOver = (await leftOver()) === 0;
  })();
  const performed = await tickUntil(() => isOver);
  await Promise.all([callers, watching]);
  expect(performed).toHaveLength(1_000);
  expect(new Set(performed).size).toBe(1_000);
  expect(await bench.states()).toEqual({ sent: 1_000 });
  expect(await stack.rpc('read_action', { p_id: id })).toMatchObject({
    state: 'done',
    written: 1_000,
    skipped: 0,
    now: { done: 1_000 },
  });
});

it('two people who retry the same 1,000 messages at once have each message written once', async () => {
  await bench.addDms(1_000, { accounts: 200 });
  await stack.sql(
    `update punctual.dm_queue set status = 'failed', attempts = 5, finished_at = now() - interval '1 minute'`,
  );
  const started = await Promise.all([1, 2].map(() => start('retry', { status: ['failed'] })));
  expect(started).toMatchObject([{ total: 1_000 }, { total: 1_000 }]);
  const ids = started.map(({ id }) => id);
  // Each returns when another holds the rows that are left.
  while ((await stack.sql(`select from punctual.actions where state <> 'done'`)).length > 0)
    await Promise.all([...ids, ...ids].map((id) => runAction(stack.rpc, id, 60_000)));
  const [events] = await stack.sql(
    `select count(*)::integer as written, count(distinct row_id)::integer as rows from punctual.history`,
  );
  expect(events).toEqual({ written: 1_000, rows: 1_000 });
  const [sum] = await stack.sql(
    'select sum(written)::integer as written, sum(skipped)::integer as skipped from punctual.actions',
  );
  expect(sum).toEqual({ written: 1_000, skipped: 1_000 });
});

it('a message that a bulk act cancels beside ticks is not sent, and one that a tick has claimed is not cancelled', async () => {
  await bench.addDms(1_000, { accounts: 200 });
  let isOver = false;
  const ticking = tickUntil(() => isOver);
  const action = await start('cancel', { status: ['pending'] });
  await runAction(stack.rpc, action.id, 60_000);
  while (!isOver) isOver = (await leftOver()) === 0;
  const performed = await ticking;
  // Rows that a tick had locked are left to the next step.
  await runAction(stack.rpc, action.id, 60_000);
  const { sent = 0, cancelled = 0 } = (await bench.states()) as Record<string, number>;
  expect(sent + cancelled).toBe(1_000);
  expect(performed).toHaveLength(sent);
  expect(await stack.rpc('read_action', { p_id: action.id })).toMatchObject({
    state: 'done',
    written: cancelled,
  });
});
