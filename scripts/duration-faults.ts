import { fileMatcher } from '../worker/local-scheduler';

/** What a route's file says in seconds, as Vercel reads it: a number in the text. Null where it says nothing. */
export function maxDurationOf(source: string): number | null {
  const literal = /^export const maxDuration = (\d+);$/m.exec(source)?.[1];
  return literal === undefined ? null : Number(literal);
}

/**
 * Compares `functions` of a `vercel.json` with the routes' own `maxDuration`, and says where they differ. A tick plans its time by the
 * route's; a shorter one in `vercel.json` would cut it off.
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
