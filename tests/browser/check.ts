/** How many promises were kept so far, and how many were not. */
export const tally = { passed: 0, failed: 0 };

/** Notes and prints whether a promise is kept; `found` is what was there instead. */
export function check(promise: string, holds: boolean, found?: unknown): void {
  if (holds) tally.passed++;
  else tally.failed++;
  console.log(`${holds ? '✓' : '✗'} ${promise}${holds ? '' : ` (found ${JSON.stringify(found)})`}`);
}
