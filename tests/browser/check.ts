/** How many checks have passed and failed so far. */
export const tally = { passed: 0, failed: 0 };

/** Counts and prints whether a promise holds. `found`: the value to print if it does not. */
export function check(promise: string, holds: boolean, found?: unknown): void {
  if (holds) tally.passed++;
  else tally.failed++;
  console.log(`${holds ? '✓' : '✗'} ${promise}${holds ? '' : ` (found ${JSON.stringify(found)})`}`);
}
