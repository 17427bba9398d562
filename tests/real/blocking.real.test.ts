import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { done, type Outcome, retry } from '../../lib/engine/outcome.ts';
import type { Queue } from '../../lib/engine/queue.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { makeTasks } from '../support/tasks.ts';
import { stackTick } from './tick-process.ts';

let stack: Stack;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  await stack.sql(`delete from punctual.queues where name = 'tasks'`);
  await makeTasks({ sql: stack.sql, rpc: async () => null, reset: async () => {}, close: async () => {} });
  // Every tick is admitted, so only the partition's max_running keeps rows apart.
  await stack.sql(`update punctual.queues set max_ticks = 100, batch_limit = null, concurrency = 10, backoff_base_seconds = 1, lease_seconds = 90
    where name = 'tasks'`);
});

interface Run {
  id: number;
  attempt: number;
  startedAt: number;
  endedAt: number;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const row = z.object({ id: z.coerce.number() });

function tasks(
  runs: Run[],
  outcomeOf: (id: number, attempt: number) => Outcome,
): Queue<z.infer<typeof row>, null, unknown> {
  return {
    name: 'tasks',
    row,
    delivery: 'at-least-once',
    timeoutMs: 15_000,
    connect: () => null,
    async perform({ id }, { attempt }) {
      const startedAt = performance.now();
      await sleep(Math.random() * 4);
      runs.push({ id, attempt, startedAt, endedAt: performance.now() });
      return outcomeOf(id, attempt);
    },
  };
}

/** Runs eight schedulers at once, each one tick after the other, until the partition is empty. Returns how often it was watched. */
async function drain(queue: Queue<z.infer<typeof row>, null, unknown>): Promise<number> {
  let over = false;
  let reads = 0;
  const doubles: unknown[] = [];
  const watch = (async () => {
    while (!over) {
      doubles.push(
        ...(await stack.sql(
          `select count(*) from app.tasks where lane = 'line' and status = 'running' having count(*) > 1`,
        )),
      );
      reads++;
    }
  })();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (;;) {
        await stackTick(queue, null, { ...stack, partition: 'line' });
        const [left] = await stack.sql(
          `select count(*)::integer as n from app.tasks where status in ('pending', 'running')`,
        );
        if (left?.n === 0) return;
        await sleep(5);
      }
    }),
  );
  over = true;
  await watch;
  expect(doubles).toEqual([]);
  return reads;
}

it('eight ticks at once over 200 rows of a blocking partition never run two rows, keep their order, and wait for a failed head', async () => {
  await stack.sql(`insert into app.tasks (lane, due, max_attempts)
    select 'line', now() - interval '1 hour' + make_interval(secs => n), 2 from generate_series(1, 200) n`);
  const runs: Run[] = [];
  const failing = new Set([1, 60, 61, 140]);
  const hopeless = 100;
  const queue = tasks(runs, (id, attempt) =>
    id === hopeless || (failing.has(id) && attempt === 1) ? retry('not yet') : done(),
  );
  const reads = await drain(queue);

  // Each attempt ended before the next one started, and no row started before the row before it was finished.
  const inTime = [...runs].sort((a, b) => a.startedAt - b.startedAt);
  for (const [n, run] of inTime.entries()) {
    if (n > 0) expect(run.startedAt).toBeGreaterThanOrEqual(inTime[n - 1]?.endedAt ?? 0);
  }
  const expected = Array.from({ length: 200 }, (_, n) => n + 1).flatMap((id) =>
    failing.has(id) || id === hopeless ? [`${id}.1`, `${id}.2`] : [`${id}.1`],
  );
  expect(inTime.map(({ id, attempt }) => `${id}.${attempt}`)).toEqual(expected);
  expect(
    await stack.sql('select status, count(*)::integer as n from app.tasks group by 1 order by 1'),
  ).toEqual([
    { status: 'dead', n: 1 },
    { status: 'done', n: 199 },
  ]);
  expect(reads).toBeGreaterThan(50);
}, 120_000);

it('a claim in a limited partition waits for the claim under way and counts its rows', async () => {
  await stack.sql(
    `update punctual.partitions set max_running = 3 where queue = 'tasks' and partition = 'line'`,
  );
  await stack.sql(`insert into app.tasks (lane, due) select 'line', now() from generate_series(1, 9)`);
  const [one, other] = [
    new Client({ connectionString: stack.databaseUrl }),
    new Client({ connectionString: stack.databaseUrl }),
  ];
  await Promise.all([one.connect(), other.connect()]);
  const claim = async (client: Client, id: string, want: number) => {
    const tick = { id, queue: 'tasks', partition: 'line', limit_seconds: 60 };
    const text = 'select punctual.exchange($1, p_want => $2) as reply';
    const { rows } = await client.query(text, [JSON.stringify(tick), want]);
    return rows[0].reply.rows.length;
  };
  const [oneId, otherId] = [crypto.randomUUID(), crypto.randomUUID()];
  await claim(one, oneId, 0);
  await claim(other, otherId, 0);
  await one.query('begin');
  expect(await claim(one, oneId, 2)).toBe(2);
  const waiting = claim(other, otherId, 3);
  expect(await Promise.race([waiting, sleep(300).then(() => 'waits')])).toBe('waits');
  await one.query('commit');
  expect(await waiting).toBe(1);
  await Promise.all([one.end(), other.end()]);
});

it('a claim skips a locked row and does not wait for it', async () => {
  await stack.sql(`insert into app.tasks (lane, due) select 'a', now() from generate_series(1, 3)`);
  const [{ id }] = await stack.sql(`select min(id) as id from app.tasks where lane = 'a'`);
  const person = new Client({ connectionString: stack.databaseUrl });
  await person.connect();
  try {
    await person.query('begin');
    await person.query(`update app.tasks set due = due where id = $1`, [id]);
    const tick = { id: crypto.randomUUID(), queue: 'tasks', partition: 'a', limit_seconds: 60 };
    // A claim that waited would fail by its lock_timeout.
    const [{ reply }] = await stack.sql('select punctual.exchange($1, p_want => 10) as reply', [
      JSON.stringify(tick),
    ]);
    expect(reply.rows).toHaveLength(2);
    expect(reply.rows.map((row: { id: string }) => row.id)).not.toContain(String(id));
  } finally {
    await person.end();
  }
});
