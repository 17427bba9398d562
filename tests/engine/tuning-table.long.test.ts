import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { tickBench } from '../support/tick-bench.ts';

/** What a message takes in the table, as in the guide that it answers to. */
const messageMs = 2_500;
const backlogs = [5, 30, 50];
const settings = [
  [20, 3],
  [30, 3],
  [30, 5],
  [30, 10],
  [40, 7],
  [50, 5],
  [50, 10],
] as const;

let database: TestDatabase;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());

/** How long ticks work on so many due messages, and how many ticks that are: `15 s`, `18 s (2)`. */
async function drain(many: number, batchLimit: number, concurrency: number): Promise<string> {
  await database.reset();
  await database.sql(
    "update punctual.queues set batch_limit = $1, concurrency = $2 where name = 'dm_queue'",
    [batchLimit, concurrency],
  );
  const bench = tickBench(database);
  await bench.addDms(many);
  const queue = bench.queue(async () => {
    await bench.sleep(messageMs);
    return done();
  });
  let ticks = 0;
  let workedMs = 0;
  for (let left = many; left > 0; ) {
    const startedAt = bench.clock.now();
    const { counts } = await bench.tick(queue);
    workedMs += bench.clock.now() - startedAt;
    ticks++;
    expect(counts.done).toBeGreaterThan(0);
    left -= counts.done;
  }
  return `${workedMs / 1_000} s${ticks > 1 ? ` (${ticks})` : ''}`;
}

it('the table of docs/tuning.md is what ticks do', async () => {
  const lines = [
    `| batch limit | concurrency | ${backlogs.join(' | ')} |`,
    `|${'---|'.repeat(2 + backlogs.length)}`,
  ];
  for (const [batchLimit, concurrency] of settings) {
    const cells: string[] = [];
    for (const many of backlogs) cells.push(await drain(many, batchLimit, concurrency));
    lines.push(`| ${batchLimit} | ${concurrency} | ${cells.join(' | ')} |`);
  }
  const told = readFileSync('docs/tuning.md', 'utf8').split('\n');
  const first = told.indexOf(lines[0] as string);
  expect(told.slice(first, first + lines.length)).toEqual(lines);
});
