/** Whether an error of PGlite's is the end of its Postgres: whatever is asked of it next keeps the process busy for ever. */
export function isPanic(error: unknown): boolean {
  return (
    ['PANIC', 'FATAL'].includes((error as { severity?: string })?.severity ?? '') ||
    error instanceof WebAssembly.RuntimeError
  );
}
