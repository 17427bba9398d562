import { setMaxListeners } from 'node:events';
import pLimit from 'p-limit';
import type { AddressGuard } from './public-address.ts';
import { findUrlFault } from './url-fault.ts';

/** Returns why a user's URL must not be requested; null if it may, or if the check was not done in time. */
export type AddressCheck = (url: string) => Promise<string | null>;

/** Hosts that are resolved at the same time. */
const concurrency = 100;
/** For all hosts of one call. A host that is not resolved by then is accepted, because each request to it is guarded again. */
const addressTimeoutMs = 4_000;

/** Makes the address check for one API call. `guard` is the one of the requests to come. */
export function addressCheck(guard: AddressGuard): AddressCheck {
  return checkWithin(addressTimeoutMs, (url, signal) => findUrlFault(url, guard, signal));
}

/**
 * Makes an address check of `check`, which may be slow because it resolves names. Each host is checked once, at the same time as others. After
 * `timeoutMs` in all, remaining hosts are accepted.
 */
export function checkWithin(
  timeoutMs: number,
  check: (url: string, signal: AbortSignal) => Promise<string | null>,
): AddressCheck {
  const signal = AbortSignal.timeout(timeoutMs);
  // Each resolution adds a listener.
  setMaxListeners(0, signal);
  const outOfTime = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  const limit = pLimit(concurrency);
  const faults = new Map<string, Promise<string | null>>();
  return (url) => {
    const { protocol, host } = new URL(url);
    const origin = `${protocol}//${host}`;
    const fault =
      faults.get(origin) ??
      Promise.race([outOfTime, limit(() => (signal.aborted ? null : check(url, signal)))]);
    faults.set(origin, fault);
    return fault;
  };
}
