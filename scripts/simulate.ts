/**
 * Plays days of a bad world over the real SQL and the real engine, seed by seed, and checks what Punctual promises:
 * `npm run simulate -- --seed 1 --days 7 [--seeds 200] [--workers 2] [--postgres] [--verbose]
 * [--until-failure] [--json]`. The same seed is the same run. Exit code 1
 * when a promise was broken, or when a fault that the simulation has did not come in 20 seeds or more.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openEmbedded, openOnServer, startServer } from '../tests/simulation/database';
import { describeAll, describeResult, missingFaults } from '../tests/simulation/report';
import { runSimulation, type SimulationResult } from '../tests/simulation/run-simulation';

const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    days: { type: 'string', default: '7' },
    seeds: { type: 'string', default: '1' },
    workers: { type: 'string', default: '2' },
    postgres: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    /** For programs: one result a line. */
    json: { type: 'boolean', default: false },
    /** Of a child: which seeds are its own, every `workers`-th. */
    server: { type: 'string' },
    every: { type: 'string', default: '1' },
    /** End at the first seed that fails. */
    'until-failure': { type: 'boolean', default: false },
  },
});
const [first, days, count, workers] = [flags.seed, flags.days, flags.seeds, flags.workers].map(Number) as [
  number,
  number,
  number,
  number,
];

async function playSeeds(every: number, onResult: (result: SimulationResult) => void): Promise<void> {
  for (let seed = first; seed < first + count; seed += every) {
    const open = () => (flags.server ? openOnServer(flags.server, `simulation_${seed}`) : openEmbedded());
    const onLog = flags.verbose ? (line: string) => console.log(line) : undefined;
    const result = await runSimulation({ seed, days, onLog }, open);
    onResult(result);
    if (flags['until-failure'] && result.violations.length > 0) return;
  }
}

async function playInChildren(
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
          code === 0 ? resolve() : reject(new Error(`a child ended with ${code}`)),
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
    // One for each child: what another run does on a server has plans made anew, and a seed would not repeat itself.
    const servers = await Promise.all(Array.from({ length: children }, () => startServer()));
    try {
      await playInChildren(
        children,
        servers.map(({ url }) => url),
        onResult,
      );
    } finally {
      await Promise.all(servers.map((server) => server.stop()));
    }
  } else if (children > 1) await playInChildren(children, [], onResult);
  else await playSeeds(1, onResult);
  if (!flags.json) console.log(describeAll(results, (performance.now() - startedAt) / 1_000));
  if (results.some(({ violations }) => violations.length > 0) || missingFaults(results).length > 0)
    process.exitCode = 1;
}

if (process.send) {
  await playSeeds(Number(flags.every), (result) => process.send?.(result));
  process.disconnect();
} else await main();
