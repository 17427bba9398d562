import { guardProcess } from '../lib/worker/guard-process.ts';

const { signal, isBroken } = guardProcess();

/** Imports the worker or the agent after the signals have listeners, because the import takes a second. */
async function run(args: string[]): Promise<number> {
  const isAgent = args.some((arg) => arg === '--region' || arg.startsWith('--region='));
  if (isAgent || process.env.npm_lifecycle_event === 'agent') {
    const { runRegionAgent } = await import('../lib/worker/region-agent.ts');
    return runRegionAgent(args, signal);
  }
  await import('../punctual.ts');
  const { runWorker } = await import('../lib/worker/run-worker.ts');
  return runWorker(args, signal);
}

run(process.argv.slice(2)).then(
  (code) => process.exit(isBroken() ? 1 : code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);
