const maxFailures = 10;
const windowMs = 60_000;
const maxAddresses = 10_000;

/** When sign-ins from an address failed, oldest first. The most recent address is last. Each process has its own. */
const failedAtMs = new Map<string, number[]>();

/** Counts a wrong password. Returns the seconds until the address may fail again: 0 for up to ten failures in any minute. */
export function countFailedSignIn(address: string, nowMs: number): number {
  const recent = (failedAtMs.get(address) ?? []).filter((atMs) => nowMs - atMs < windowMs);
  const [firstAtMs = nowMs] = recent;
  const waitMs = recent.length < maxFailures ? 0 : firstAtMs + windowMs - nowMs;
  if (waitMs === 0) recent.push(nowMs);
  failedAtMs.delete(address);
  failedAtMs.set(address, recent);
  for (const oldest of failedAtMs.keys()) {
    if (failedAtMs.size <= maxAddresses) break;
    failedAtMs.delete(oldest);
  }
  return waitMs / 1_000;
}
