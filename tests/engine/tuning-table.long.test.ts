import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { testDatabase } from '../support/fixtures.ts';
import { tickBench } from '../support/tick-bench.ts';

/** How long one message takes in the table of docs/tuning.md. */
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

const database = testDatabase();

/** Returns how long ticks take for `count` due messages, and the number of ticks if there are several: `15 s`, `18 s (2)`. */
async function drain(count: number, batchLimit: number, concurrency: number): Promise<string> {
  await database.reset();
  await database.sql(
    "update punctual.queues set batch_limit = $1, concurrency = $2 where name = 'dm_queue'",
    [batchLimit, concurrency],
  );
  const bench = tickBench(database);
  await bench.addDms(count);
  const queue = bench.queue(() => bench.sleep(messageMs).then(() => done()));
  let ticks = 0;
  let workedMs = 0;
  for (let left = count; left > 0; ) {
    const startedAt = bench.clock.now();
    const { counts } = await bench.tick(queue);
    workedMs += bench.clock.now() - startedAt;
    ticks++;
    expect(counts.done).toBeGreaterThan(0);
    left -= counts.done;
  }
  return `${workedMs / 1_000} s${ticks > 1 ? ` (${ticks})` : ''}`;
}

it('ticks take as long as the table of docs/tuning.md says', async () => {
  const lines = [
    `| batch limit | concurrency | ${backlogs.join(' | ')} |`,
    `|${'---|'.repeat(2 + backlogs.length)}`,
  ];
  for (const [batchLimit, concurrency] of settings) {
    const cells: string[] = [];
    for (const backlog of backlogs) cells.push(await drain(backlog, batchLimit, concurrency));
    lines.push(`| ${batchLimit} | ${concurrency} | ${cells.join(' | ')} |`);
  }
  const guide = readFileSync('docs/tuning.md', 'utf8').split('\n');
  const first = guide.indexOf(lines[0] as string);
  expect(guide.slice(first, first + lines.length)).toEqual(lines);
});
