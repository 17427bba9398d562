import { setMaxListeners } from 'node:events';
import pLimit from 'p-limit';
import { refusalOf } from '../../net/refusal-of';
import { type MonitorEnv, monitorGuard } from './queue';

/** Why a monitor's address must not be asked; null where it may, or nobody could tell in time. */
export type AddressCheck = (url: string) => Promise<string | null>;

/** Names that are asked for side by side. */
const sideBySide = 100;
/** For all names of one call: what is not known then is found out when the address is asked, as it is every time. */
const withinMs = 4_000;

/** Checks the addresses of one call's monitors, as their checks will be. */
export function addressCheck(env: MonitorEnv): AddressCheck {
  const guard = monitorGuard(env);
  return checkWithin(withinMs, (url, signal) => refusalOf(url, guard, signal));
}

/**
 * `ask` may resolve a name and take its time: each host is asked about once, side by side with the others, and one that does not answer
 * holds nobody for longer than `timeoutMs`.
 */
export function checkWithin(
  timeoutMs: number,
  ask: (url: string, signal: AbortSignal) => Promise<string | null>,
): AddressCheck {
  const signal = AbortSignal.timeout(timeoutMs);
  // Each name that is asked for listens.
  setMaxListeners(0, signal);
  const outOfTime = new Promise<null>((resolve) => {
    signal.addEventListener('abort', () => resolve(null), { once: true });
  });
  const limit = pLimit(sideBySide);
  const asked = new Map<string, Promise<string | null>>();
  return (url) => {
    const { protocol, host } = new URL(url);
    const place = `${protocol}//${host}`;
    const refusal =
      asked.get(place) ?? Promise.race([outOfTime, limit(() => (signal.aborted ? null : ask(url, signal)))]);
    asked.set(place, refusal);
    return refusal;
  };
}
