/** The stop signal of a process that ticks, and whether an error that nothing caught has set it. */
export interface ProcessGuard {
  signal: AbortSignal;
  isBroken(): boolean;
}

/**
 * Makes SIGTERM and SIGINT set the signal, so that open ticks settle. A second one ends the process at once. A rejection that nothing handles is
 * logged: a queue's code may forget to await a promise, and that must not end the ticks of the other queues.
 */
export function guardProcess(): ProcessGuard {
  const stop = new AbortController();
  let isBroken = false;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1);
      stop.abort();
    });
  }
  process.on('unhandledRejection', (error) => {
    console.error('a promise was rejected and nothing handled it. The process continues:', error);
  });
  process.on('uncaughtException', (error) => {
    console.error('an error was not caught. The process settles its running rows and ends:', error);
    isBroken = true;
    stop.abort();
  });
  return { signal: stop.signal, isBroken: () => isBroken };
}
