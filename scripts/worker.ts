const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    // The first signal lets open ticks settle. The second ends the process at once.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}

// A queue's code may forget to await a promise. That must not end the ticks of the other queues.
process.on('unhandledRejection', (error) => {
  console.error('a promise was rejected and nothing handled it. The process continues:', error);
});
let isBroken = false;
process.on('uncaughtException', (error) => {
  console.error('an error was not caught. The process settles its running rows and ends:', error);
  isBroken = true;
  stop.abort();
});

/** Imports the worker or the agent after the signals have listeners, because the import takes a second. */
async function run(args: string[]): Promise<number> {
  const isAgent = args.some((arg) => arg === '--region' || arg.startsWith('--region='));
  if (isAgent || process.env.npm_lifecycle_event === 'agent') {
    const { runRegionAgent } = await import('../lib/worker/region-agent.ts');
    return runRegionAgent(args, stop.signal);
  }
  await import('../punctual.ts');
  const { runWorker } = await import('../lib/worker/run-worker.ts');
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
