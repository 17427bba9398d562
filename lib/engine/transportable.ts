/** Deeper than any real value, and less than Postgres's limit. */
const maxDepth = 500;

/** Copies a value through JSON. If that fails, calls `onDropped` with the reason and returns undefined, so that other values are still written. */
export function transportable<T extends object>(
  value: T | undefined,
  onDropped: (reason: string) => void,
): T | undefined {
  if (value === undefined) return undefined;
  try {
    const text = JSON.stringify(value, (_key, one) => (typeof one === 'bigint' ? `${one}` : one));
    if (isDeeper(text, maxDepth)) throw new Error(`it is nested more than ${maxDepth} levels deep`);
    return JSON.parse(text);
  } catch (error) {
    onDropped((error as Error).message);
    return undefined;
  }
}

/** Whether arrays and objects are nested more than `levels` deep in a JSON text. */
export function isDeeper(json: string, levels: number): boolean {
  // Each level takes two brackets.
  return json.length > 2 * levels && depthOfJson(json) > levels;
}

function depthOfJson(json: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [mark] of json.matchAll(/"(?:[^"\\]+|\\.)*"|[[\]{}]/g)) {
    if (mark === '[' || mark === '{') deepest = Math.max(deepest, ++depth);
    else if (mark === ']' || mark === '}') depth--;
  }
  return deepest;
}
