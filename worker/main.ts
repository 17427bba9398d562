import { runRegionAgent } from './region-agent';
import { runWorker } from './run-worker';

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    // The first lets the ticks under way settle; whoever sends a second has waited enough.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

const args = process.argv.slice(2);
const isAgent = args.some((arg) => arg === '--region' || arg.startsWith('--region='));
const run = isAgent || process.env.npm_lifecycle_event === 'agent' ? runRegionAgent : runWorker;

run(args, stop.signal).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);
