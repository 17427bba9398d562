/** Returns the first value of each parameter of an address. */
export function oneOf(
  query: Record<string, string | string[] | undefined>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}

/** Returns all values of a parameter of an address. */
export function allOf(query: Record<string, string | string[] | undefined>, name: string): string[] {
  return [query[name] ?? []].flat();
}
