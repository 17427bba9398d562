const mostTries = 10;
const windowMs = 60_000;
const mostAddresses = 10_000;

/** When wrong passwords came from an address, oldest first; the address that was heard of last is last. Of this process only. */
const triesAtMs = new Map<string, number[]>();

/** Counts a wrong password. Returns the seconds until the address may be wrong again: 0 up to ten times in any minute. */
export function countWrongTry(address: string, nowMs: number): number {
  const recent = (triesAtMs.get(address) ?? []).filter((atMs) => nowMs - atMs < windowMs);
  const [firstAtMs = nowMs] = recent;
  const waitMs = recent.length < mostTries ? 0 : firstAtMs + windowMs - nowMs;
  if (waitMs === 0) recent.push(nowMs);
  triesAtMs.delete(address);
  triesAtMs.set(address, recent);
  for (const oldest of triesAtMs.keys()) {
    if (triesAtMs.size <= mostAddresses) break;
    triesAtMs.delete(oldest);
  }
  return waitMs / 1_000;
}
