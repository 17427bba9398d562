import { runRegionAgent } from './region-agent';

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    // The first lets the tick under way settle; whoever sends a second has waited enough.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

runRegionAgent(process.argv.slice(2), stop.signal).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);
