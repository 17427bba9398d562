/**
 * Simulates days of injected faults over the real SQL and the real engine, seed by seed, and checks Punctual's guarantees:
 * `npm run simulate -- --seed 1 --days 7 [--seeds 200] [--workers 2] [--postgres] [--verbose] [--until-failure] [--json]`.
 *
 * The same seed gives the same run. Exits with 1 if a guarantee was broken, or if one of the faults never happened in 20 or more seeds.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openEmbedded, openOnServer, startServer } from '../tests/simulation/database.ts';
import { describeAll, describeResult, missingFaults } from '../tests/simulation/report.ts';
import { runSimulation, type SimulationResult } from '../tests/simulation/run-simulation.ts';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    days: { type: 'string', default: '7' },
    seeds: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    /** Prints one JSON result a line, for programs. */
    json: { type: 'boolean', default: false },
    /** For child processes: the Postgres server, and the step between the child's seeds. */
    server: { type: 'string' },
    every: { type: 'string', default: '1' },
    /** Ends at the first seed that fails. */
    'until-failure': { type: 'boolean', default: false },
  },
});
const [first, days, count, workers] = [flags.seed, flags.days, flags.seeds, flags.workers].map(Number) as [
  number,
  number,
  number,
  number,
];

async function runSeeds(every: number, onResult: (result: SimulationResult) => void): Promise<void> {
  for (let seed = first; seed < first + count; seed += every) {
    const open = () => (flags.server ? openOnServer(flags.server, `simulation_${seed}`) : openEmbedded());
    const onLog = flags.verbose ? (line: string) => console.log(line) : undefined;
    const result = await runSimulation({ seed, days, onLog }, open);
    onResult(result);
    if (flags['until-failure'] && result.violations.length > 0) return;
  }
}

async function runInChildren(
  children: number,
  servers: string[],
  onResult: (result: SimulationResult) => void,
): Promise<void> {
  const script = fileURLToPath(import.meta.url);
  await Promise.all(
    Array.from({ length: children }, (_, n) => {
      const args = [
        '--seed',
        `${first + n}`,
        '--days',
        `${days}`,
        '--seeds',
        `${count - n}`,
        '--every',
        `${children}`,
      ];
      const server = servers[n];
      if (server) args.push('--server', server);
      if (flags['until-failure']) args.push('--until-failure');
      if (flags.verbose) args.push('--verbose');
      const child = fork(script, args);
      child.on('message', (result) => onResult(result as SimulationResult));
      return new Promise<void>((resolve, reject) => {
        child.on('exit', (code) =>
          code === 0 ? resolve() : reject(new Error(`a child process ended with exit code ${code}`)),
        );
      });
    }),
  );
}

async function main(): Promise<void> {
  const startedAt = performance.now();
  const results: SimulationResult[] = [];
  const onResult = (result: SimulationResult) => {
    results.push(result);
    console.log(
      flags.json ? JSON.stringify(result) : describeResult(result, flags.postgres ? ' --postgres' : ''),
    );
  };
  const children = Math.min(workers, count);
  if (flags.postgres) {
    // One server for each child. On a shared one, other runs would change query plans, and a seed would not repeat its result.
    const servers = await Promise.all(Array.from({ length: children }, () => startServer()));
    try {
      await runInChildren(
        children,
        servers.map(({ url }) => url),
        onResult,
      );
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
  } else if (children > 1) await runInChildren(children, [], onResult);
  else await runSeeds(1, onResult);
  if (!flags.json) console.log(describeAll(results, (performance.now() - startedAt) / 1_000));
  if (results.some(({ violations }) => violations.length > 0) || missingFaults(results).length > 0)
    process.exitCode = 1;
}

if (process.send) {
  await runSeeds(Number(flags.every), (result) => process.send?.(result));
  process.disconnect();
} else await main();
