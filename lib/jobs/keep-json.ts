import { depthOfJson } from '../engine/depth-of-json';

/** Deeper than anybody means, and far from where JavaScript or Postgres give up. */
const mostDepth = 64;

/**
 * The value as JSON carries it, where that is no larger than `mostBytes`; else why it cannot be kept, to be read after "the result" or
 * the like. Whatever code the value bears may throw.
 */
export function keepJson(value: unknown, mostBytes: number): { kept: unknown } | { fault: string } {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    return { fault: `is no JSON: ${error instanceof Error ? error.message : 'it cannot be written'}` };
  }
  if (json === undefined) return { fault: `is no JSON, but of the type ${typeof value}` };
  const bytes = Buffer.byteLength(json);
  if (bytes > mostBytes) return { fault: `is ${bytes} bytes of JSON; ${mostBytes} are kept` };
  if (depthOfJson(json) > mostDepth) return { fault: `is nested more than ${mostDepth} levels deep` };
  return { kept: JSON.parse(json) };
}
