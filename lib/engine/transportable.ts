import { depthOfJson } from './depth-of-json';

/** Deeper than anybody means it, and less than Postgres reads. */
const deepest = 500;

/** What JSON carries of a value; undefined, with the reason told, where it carries nothing: that must not keep others from being written. */
export function transportable<T extends object>(
  value: T | undefined,
  leaveOut: (reason: string) => void,
): T | undefined {
  if (value === undefined) return undefined;
  try {
    const text = JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? `${one}` : one));
    if (depthOfJson(text) > deepest) throw new Error(`it is nested more than ${deepest} deep`);
    return JSON.parse(text);
  } catch (error) {
    leaveOut((error as Error).message);
    return undefined;
  }
}
