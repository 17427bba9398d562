import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { defaultLoad, runLoad } from '../../scripts/whatif/run-load.ts';
import { type Run, tableOfDrains } from '../../scripts/whatif/tables.ts';
import { testDatabase } from '../support/fixtures.ts';

const database = testDatabase({ own: true });

it('ticks take as long as the table of docs/tuning.md says', async () => {
  const settings = [20, 30, 50].flatMap((batchLimit) =>
    [3, 5, 10].map((concurrency) => ({ batchLimit, concurrency })),
  );
  const runs: Run[] = [];
  for (const setting of settings) {
    for (const backlog of [0, 5, 30, 50]) {
      const load = { ...defaultLoad, backlog };
      runs.push({ load, setting, result: await runLoad(database, load, setting) });
    }
  }
  const lines = tableOfDrains(runs);
  const guide = readFileSync('docs/tuning.md', 'utf8').split('\n');
  const first = guide.indexOf(lines[0] as string);
  expect(guide.slice(first, first + lines.length)).toEqual(lines);
});
