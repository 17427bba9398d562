import { fileMatcher } from '../lib/worker/local-scheduler.ts';

/** Returns the `maxDuration` in a route's source, in seconds. Reads a literal number, as Vercel does. Null if there is none. */
export function maxDurationOf(source: string): number | null {
  const literal = /^export const maxDuration = (\d+);$/m.exec(source)?.[1];
  return literal === undefined ? null : Number(literal);
}

/**
 * Compares `functions` of a `vercel.json` with the routes' own `maxDuration`, and returns a text for each difference. A tick plans its time by the
 * route's value, and a shorter one in `vercel.json` would kill it.
 */
export function durationFaults(
  functions: Record<string, { maxDuration?: unknown }>,
  routes: { file: string; source: string }[],
): string[] {
  return Object.entries(functions).flatMap(([glob, { maxDuration }]) => {
    if (maxDuration === undefined) return [];
    const isMatch = fileMatcher(glob);
    return routes.flatMap(({ file, source }) => {
      const own = maxDurationOf(source);
      if (!isMatch.test(file) || own === null || own === maxDuration) return [];
      return `${file}: maxDuration is ${own} in the file and ${maxDuration} in vercel.json (${glob}). Set both to the same number.`;
    });
  });
}
