import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { done, retry } from '../../lib/engine/outcome.ts';
import { defineQueue } from '../../lib/engine/queue.ts';
import { makeTasks } from '../support/tasks.ts';
import { testStack } from './test-stack.ts';
import { stackTick } from './tick-process.ts';

const stack = testStack();
beforeEach(async () => {
  await makeTasks(stack);
  // Every tick is admitted, so only the partition's max_running keeps rows apart.
  await stack.sql(`update punctual.queues set max_ticks = 100, batch_limit = null, concurrency = 10, backoff_base_seconds = 1, lease_seconds = 90
    where name = 'tasks'`);
});

async function claim(client: Pick<Client, 'query'>, id: string, partition: string, want: number) {
  const tick = { id, queue: 'tasks', partition, limit_seconds: 60 };
  const text = 'select punctual.exchange($1, p_want => $2) as reply';
  const { rows } = await client.query(text, [JSON.stringify(tick), want]);
  return rows[0].reply.rows as { id: string }[];
}

it('eight ticks at once over 200 rows of a blocking partition never run two rows, keep their order, and wait for a failed head', async () => {
  await stack.sql(`insert into app.tasks (lane, due, max_attempts)
    select 'line', now() - interval '1 hour' + make_interval(secs => n), 2 from generate_series(1, 200) n`);
  const runs: { run: string; startedAt: number; endedAt: number }[] = [];
  const failing = new Set([1, 60, 61, 140]);
  const hopeless = 100;
  const queue = defineQueue({
    name: 'tasks',
    row: z.object({ id: z.coerce.number() }),
    delivery: 'at-least-once',
    timeoutMs: 15_000,
    connect: () => null,
    async perform({ id }, { attempt }) {
      const startedAt = performance.now();
      await sleep(Math.random() * 4);
      runs.push({ run: `${id}.${attempt}`, startedAt, endedAt: performance.now() });
      return id === hopeless || (failing.has(id) && attempt === 1) ? retry('not yet') : done();
    },
  });
  let isOver = false;
  const watching = (async () => {
    const seen = { reads: 0, doubles: [] as unknown[] };
    for (; !isOver; seen.reads++)
      seen.doubles.push(
        ...(await stack.sql(
          `select count(*) from app.tasks where lane = 'line' and status = 'running' having count(*) > 1`,
        )),
      );
    return seen;
  })();
  const isEmpty = async () =>
    (await stack.sql(`select from app.tasks where status in ('pending', 'running') limit 1`)).length === 0;
  // Eight schedulers, each one tick after the other.
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      do {
        await sleep(5);
        await stackTick(queue, null, { ...stack.settings, partition: 'line' });
      } while (!(await isEmpty()));
    }),
  );
  isOver = true;
  const { reads, doubles } = await watching;
  expect(doubles).toEqual([]);
  expect(reads).toBeGreaterThan(50);

  // Each attempt ended before the next one started, and no row started before the row before it was finished.
  runs.sort((a, b) => a.startedAt - b.startedAt);
  for (const [n, { startedAt }] of runs.entries())
    expect(startedAt).toBeGreaterThanOrEqual(runs[n - 1]?.endedAt ?? 0);
  expect(runs.map(({ run }) => run)).toEqual(
    Array.from({ length: 200 }, (_, n) => n + 1).flatMap((id) =>
      failing.has(id) || id === hopeless ? [`${id}.1`, `${id}.2`] : [`${id}.1`],
    ),
  );
  expect(
    await stack.sql('select status, count(*)::integer as n from app.tasks group by 1 order by 1'),
  ).toEqual([
    { status: 'dead', n: 1 },
    { status: 'done', n: 199 },
  ]);
}, 120_000);

it('a claim in a limited partition waits for the claim under way and counts its rows', async () => {
  await stack.sql(
    `update punctual.partitions set max_running = 3 where queue = 'tasks' and partition = 'line'`,
  );
  await stack.sql(`insert into app.tasks (lane, due) select 'line', now() from generate_series(1, 9)`);
  const [one, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const [first, second] = [await stack.begin(), await stack.begin()];
  await claim(first, one, 'line', 0);
  await first.query('commit; begin');
  await claim(second, other, 'line', 0);
  await second.query('commit');
  expect(await claim(first, one, 'line', 2)).toHaveLength(2);
  const waiting = claim(second, other, 'line', 3);
  expect(await Promise.race([waiting, sleep(300, 'waits')])).toBe('waits');
  await first.query('commit');
  expect(await waiting).toHaveLength(1);
});

it('a claim skips a locked row and does not wait for it', async () => {
  await stack.sql(
    `insert into app.tasks (id, lane, due) overriding system value select n, 'a', now() from generate_series(1, 3) n`,
  );
  const person = await stack.begin();
  await person.query('update app.tasks set due = due where id = 1');
  // A claim that waited would fail by its lock_timeout.
  const rows = await claim(await stack.begin(), crypto.randomUUID(), 'a', 10);
  expect(rows.map(({ id }) => id).sort()).toEqual(['2', '3']);
});
