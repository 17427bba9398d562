/**
 * Measures Punctual beside its peers on this machine: `npm run bench [-- --quick] [--only drain,slots-25] [--rounds 3]`. Starts Postgres, PostgREST
 * and Redis itself. Prints a table for each scenario and writes all figures to bench/peers/results.json. Only the ratios of one run count.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { entriesOn } from './contenders/all-contenders.ts';
import { drain } from './scenarios/drain.ts';
import { type Result, run, type Scenario } from './scenarios/scenario.ts';
import { slots } from './scenarios/slots.ts';
import { startServers } from './servers.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
  },
});
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3));
const size = (full: number, quick: number) => (flags.quick ? quick : full);
const servers = await startServers();
const entries = await entriesOn(servers);
const scenarios = [
  drain(entries, { rows: size(20_000, 5_000) }),
  slots(entries, { rows: size(1_000, 400), leastMs: 25, mostMs: 25 }),
  slots(entries, { rows: size(1_000, 400), leastMs: 5, mostMs: 100 }),
  slots(entries, { rows: size(200, 40), leastMs: 250, mostMs: 2_500 }),
];
const wanted =
  flags.only === '' ? scenarios : scenarios.filter(({ name }) => flags.only.split(',').includes(name));

function print({ title, unit, isRate }: Scenario, results: Result[]): void {
  const [reference] = results;
  console.log(`\n### ${title}\n\n| | ${unit} | of the first | node, s | guarantees |\n|---|---|---|---|---|`);
  for (const { name, median, nodeSeconds, guarantees } of results) {
    const figure = isRate ? Math.round(median).toLocaleString('en') : median.toFixed(3);
    console.log(
      `| ${name} | ${figure} | ${(median / (reference?.median ?? 1)).toFixed(2)} | ${nodeSeconds.toFixed(1)} | ${guarantees} |`,
    );
  }
}

const all: Record<string, Result[]> = {};
try {
  for (const scenario of wanted) {
    const results = await run(scenario, rounds);
    all[scenario.name] = results;
    print(scenario, results);
  }
  writeFileSync(
    new URL('results.json', import.meta.url),
    `${JSON.stringify({ node: process.version, rounds, scenarios: all }, null, 2)}\n`,
  );
} finally {
  await entries.close();
  await servers.stop();
}
process.exit(0);
