/** Returns whether an error of PGlite ended its Postgres. The next call would keep the process busy for ever. */
export function isPanic(error: unknown): boolean {
  return (
    ['PANIC', 'FATAL'].includes((error as { severity?: string })?.severity ?? '') ||
    error instanceof WebAssembly.RuntimeError ||
    isCancelled(error)
  );
}

/** Returns whether V8 stopped a call into PGlite that took too long. */
export function isCancelled(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
}
