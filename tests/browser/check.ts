/** How many checks have passed and failed so far. */
export const tally = { passed: 0, failed: 0 };

/** Counts and prints whether a promise holds. `found`: the value to print if it does not. */
export function check(promise: string, holds: boolean, found?: unknown): void {
  if (holds) tally.passed++;
  else tally.failed++;
  console.log(`${holds ? '✓' : '✗'} ${promise}${holds ? '' : ` (found ${JSON.stringify(found)})`}`);
}

/** Checks that nothing is found. */
export const checkNone = (promise: string, found: readonly unknown[]) =>
  check(promise, found.length === 0, found);

/** Checks that the found value is the expected one, as JSON. */
export const checkSame = (promise: string, found: unknown, expected: unknown) =>
  check(promise, JSON.stringify(found) === JSON.stringify(expected), found);

/** Checks that a figure is large enough. */
export const checkAtLeast = (promise: string, found: number, least: number) =>
  check(promise, found >= least, found);

/** Checks that a text has all parts. */
export function checkText(promise: string, text: string, parts: readonly (string | RegExp)[]): void {
  const missing = parts.filter((part) =>
    typeof part === 'string' ? !text.includes(part) : !part.test(text),
  );
  check(promise, missing.length === 0, [missing.map(String), text]);
}
