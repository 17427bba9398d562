import { isDeeper } from '../engine/transportable.ts';

/** Deeper than any real value, and far below the limits of JavaScript and Postgres. */
const maxDepth = 64;

/**
 * Copies a value through JSON of at most `maxBytes`, and returns both. If that fails, returns the reason as `fault`, a phrase that follows "the result" or another
 * subject. Never throws, even if the value's own code does.
 */
export function keepJson(
  value: unknown,
  maxBytes: number,
): { kept: unknown; json: string } | { fault: string } {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    return { fault: `is not JSON: ${reasonOf(error)}` };
  }
  if (json === undefined) return { fault: `is not JSON: its type is ${typeof value}` };
  const bytes = new TextEncoder().encode(json).length;
  if (bytes > maxBytes) return { fault: `is ${bytes} bytes of JSON; the limit is ${maxBytes} bytes` };
  if (isDeeper(json, maxDepth)) return { fault: `is nested more than ${maxDepth} levels deep` };
  return { kept: JSON.parse(json), json };
}

const maxResultBytes = 64 * 1_024;

/** Returns what is stored as the result of a job: a copy of the value, or `{ omitted }` with the reason why it is not stored. */
export function toResult(value: unknown): unknown {
  const result = keepJson(value, maxResultBytes);
  return 'kept' in result ? result.kept : { omitted: `the result ${result.fault}` };
}

/** The thrown value may itself throw when it is read. */
function reasonOf(error: unknown): string {
  try {
    if (error instanceof Error) return String(error.message);
  } catch {}
  return 'it cannot be written';
}
