const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    // The first lets the ticks under way settle; whoever sends a second has waited enough.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

// A queue's code may leave a promise to itself; the ticks of all others are not to end by it.
process.on('unhandledRejection', (error) => {
  console.error('a promise was rejected that nobody waits for; the process goes on:', error);
});
let isBroken = false;
process.on('uncaughtException', (error) => {
  console.error('an error that nobody caught; what is under way is settled, and the process ends:', error);
  isBroken = true;
  stop.abort();
});

/** Loaded once somebody listens to signals: it takes a second. */
async function run(args: string[]): Promise<number> {
  const isAgent = args.some((arg) => arg === '--region' || arg.startsWith('--region='));
  if (isAgent || process.env.npm_lifecycle_event === 'agent') {
    const { runRegionAgent } = await import('./region-agent');
    return runRegionAgent(args, stop.signal);
  }
  const { runWorker } = await import('./run-worker');
  return runWorker(args, stop.signal);
}

run(process.argv.slice(2)).then(
  (code) => process.exit(isBroken ? 1 : code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  },
);

export {};
