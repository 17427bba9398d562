import type { Random } from './ports/clock.ts';

/**
 * Returns the seconds to wait after the failed attempt number `attempt`: a random value between 0 and `baseSeconds * 2^(attempt - 1)`, at most
 * `capSeconds` and at least the provider's `retryAfterSeconds`. The full jitter spreads rows that failed together.
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
