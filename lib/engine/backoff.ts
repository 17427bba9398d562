import type { Random } from './ports/clock';

/**
 * Seconds to wait before the attempt after the `attempt`-th: anywhere between 0 and `base * 2^(attempt - 1)`,
 * at most `cap`. Full jitter spreads rows that failed together. A provider's own `retryAfter` is the least.
 *
 * Source: "Exponential Backoff and Jitter", AWS Architecture Blog.
 */
export function backoffSeconds(
  attempt: number,
  {
    baseSeconds,
    capSeconds,
    retryAfterSeconds = 0,
  }: { baseSeconds: number; capSeconds: number; retryAfterSeconds?: number },
  random: Random,
): number {
  const ceiling = Math.min(capSeconds, baseSeconds * 2 ** Math.max(0, attempt - 1));
  return Math.max(retryAfterSeconds, random() * ceiling);
}
