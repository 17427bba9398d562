/** The greatest bigint of Postgres. */
const greatest = 2n ** 63n - 1n;

/** The id of a message as it stands in a path, in plain digits; null for what can be none. */
export function dmId(part: string): string | null {
  if (!/^\d{1,19}$/.test(part) || BigInt(part) > greatest) return null;
  return String(BigInt(part));
}
