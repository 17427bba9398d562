/**
 * Measures Punctual beside its peers on this machine: `npm run bench [-- --quick] [--only drain,slots-25] [--rounds 3] [--docs]`. Starts Postgres,
 * PostgREST and Redis itself. Prints a table for each scenario and writes all figures to bench/peers/results.json. Only the ratios of one run count.
 *
 * `--docs` also writes them into docs/performance.md, after the line `<!-- figures -->`, with a plot of each in docs/performance/.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { entriesOn } from './contenders/all-contenders.ts';
import { barsOf, tableOf } from './report.ts';
import { accounts } from './scenarios/accounts.ts';
import { drain } from './scenarios/drain.ts';
import { enqueue } from './scenarios/enqueue.ts';
import { growth } from './scenarios/growth.ts';
import { idle } from './scenarios/idle.ts';
import { latency } from './scenarios/latency.ts';
import { manyTicks } from './scenarios/many-ticks.ts';
import { scale } from './scenarios/scale.ts';
import { type Result, run } from './scenarios/scenario.ts';
import { slots } from './scenarios/slots.ts';
import { startServers } from './servers.ts';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    docs: { type: 'boolean', default: false },
  },
});
const rounds = Number(flags.rounds ?? (flags.quick ? 1 : 3));
const size = <Value>(full: Value, quick: Value) => (flags.quick ? quick : full);
const quickSizes = [
  { due: 10_000 },
  { due: 100_000 },
  { due: 10_000, settled: 100_000 },
  { due: 10_000, accounts: 10 },
  { due: 10_000, accounts: 1_000 },
];
const fullSizes = [
  ...quickSizes.slice(0, 2),
  { due: 1_000_000 },
  { due: 10_000, settled: 1_000_000 },
  ...quickSizes.slice(3),
  { due: 10_000, accounts: 10_000 },
  { due: 1_000_000, accounts: 10_000 },
];
const servers = await startServers();
const entries = await entriesOn(servers);
const scenarios = [
  drain(entries, { rows: size(20_000, 5_000) }),
  slots(entries, { rows: size(1_000, 400), leastMs: 25, mostMs: 25 }),
  slots(entries, { rows: size(1_000, 200), leastMs: 5, mostMs: 100 }),
  slots(entries, { rows: size(200, 30), leastMs: 250, mostMs: 2_500 }),
  latency(entries, { rows: size(100, 20) }),
  enqueue(entries, { rows: size(20_000, 5_000) }),
  manyTicks(entries, { rows: size(20_000, 5_000) }),
  accounts(entries, { rows: size(20_000, 2_000), sizes: size([10_000, 100_000], [1_000, 10_000]) }),
  scale(entries, { sizes: size(fullSizes, quickSizes) }),
  idle(entries, { of: 'ms', settled: size(1_000_000, 100_000) }),
  idle(entries, { of: 'calls' }),
  idle(entries, { of: 'commands' }),
  growth(entries, { few: 1_000, many: size(100_000, 20_000), of: 'processor' }),
  growth(entries, { few: 1_000, many: size(100_000, 20_000), of: 'heap' }),
];
const wanted =
  flags.only === '' ? scenarios : scenarios.filter(({ name }) => flags.only.split(',').includes(name));

const all: Record<string, Result[]> = {};
const plots = new URL('../../docs/performance/', import.meta.url);
if (flags.docs) mkdirSync(plots, { recursive: true });
const page = [
  '',
  `Node ${process.version}, Postgres 15, PostgREST 12, ${cpus().length} processors; ${rounds === 1 ? 'one round' : `medians of ${rounds} interleaved rounds`} after one that does not count. The orange line in a bar spans the rounds.`,
];
try {
  for (const scenario of wanted) {
    const results = await run(scenario, rounds);
    all[scenario.name] = results;
    const table = ['', `### ${scenario.title}`, '', ...tableOf(scenario, results)];
    console.log(table.join('\n'));
    page.push(...table, '', `![${scenario.title}](performance/${scenario.name}.svg)`);
    if (flags.docs) writeFileSync(new URL(`${scenario.name}.svg`, plots), barsOf(scenario, results));
  }
  writeFileSync(
    new URL('results.json', import.meta.url),
    `${JSON.stringify({ node: process.version, rounds, scenarios: all }, null, 2)}\n`,
  );
  if (flags.docs) {
    const file = new URL('../../docs/performance.md', import.meta.url);
    const [head = ''] = readFileSync(file, 'utf8').split('<!-- figures -->');
    writeFileSync(file, `${head}<!-- figures -->\n${page.join('\n')}\n`);
  }
} finally {
  await entries.close();
  await servers.stop();
}
process.exit(0);
