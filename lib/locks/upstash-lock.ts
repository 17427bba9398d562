import { Redis } from '@upstash/redis';
import type { Clock, NewId } from '../engine/ports/clock.ts';
import type { Log } from '../engine/ports/log.ts';
import type { HeldLock, OverlapLock } from '../engine/ports/overlap-lock.ts';
import { networkCode } from '../net/network-error.ts';
import { within } from '../net/within.ts';

export interface UpstashLockOptions {
  /** Upstash's REST URL and token. No log and no reason contains them. */
  url: string;
  token: string;
  clock: Clock;
  log: Log;
  newId?: NewId;
  /** The limit for one command, in milliseconds. */
  timeoutMs?: number;
  /** After so many failures in a row, Redis is not called for `openMs`. */
  failuresToOpen?: number;
  openMs?: number;
}

type Result<T> = { ok: true; value: T } | { ok: false; reason: string };

const prefix = 'punctual:lock:';

/** Both scripts change the key only while it holds our token: after a lost lock it may be another tick's. */
const extendScript = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`;
const releaseScript = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

/**
 * Makes the overlap lock on Upstash Redis, with one command a call. It makes overlap rare but does not exclude it: Upstash replicates asynchronously,
 * and the last writer wins (https://upstash.com/docs/redis/features/consistency).
 *
 * If the response to SET is lost, the lock may exist without a holder until its lifetime ends. So start with a short lifetime, and extend it when
 * there is work.
 */
export function upstashLock({
  url,
  token: secret,
  clock,
  log,
  newId = () => crypto.randomUUID(),
  timeoutMs = 500,
  failuresToOpen = 3,
  openMs = 30_000,
}: UpstashLockOptions): OverlapLock {
  let failuresInARow = 0;
  let openUntil = 0;

  async function call<T>(command: string, send: (redis: Redis) => Promise<T>): Promise<Result<T>> {
    if (clock.now() < openUntil)
      return { ok: false, reason: 'Redis failed several times in a row and is not called for a while' };
    const attempt = async (signal: AbortSignal): Promise<Result<T>> => {
      try {
        const value = await send(connect(signal));
        failuresInARow = 0;
        return { ok: true, value };
      } catch (error) {
        const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : describe(error);
        failuresInARow += 1;
        if (failuresInARow >= failuresToOpen) openUntil = clock.now() + openMs;
        log.warn(
          { command, reason, failuresInARow, pauseMs: failuresInARow >= failuresToOpen ? openMs : 0 },
          'the lock is unavailable',
        );
        return { ok: false, reason };
      }
    };
    return within(undefined, timeoutMs, attempt, (ms, fire) => clock.timer(ms, fire));
  }

  /** Makes one client a call, because the signal belongs to the client. A client is only a few closures over `fetch`. */
  function connect(signal: AbortSignal): Redis {
    return new Redis({
      url,
      token: secret,
      // A function, because with a signal itself the client returns the abort as if it were the result of Redis.
      signal: () => signal,
      // `retry: false` still tries twice.
      retry: { retries: 0 },
      enableTelemetry: false,
      readYourWrites: false,
    });
  }

  /** The error's own text would contain the command, or a malformed URL. */
  function describe(error: unknown): string {
    const { name, message, cause } = error as Error;
    const code = networkCode(cause);
    if (name === 'UrlError') return 'the address is not an http(s) URL';
    if (name === 'UpstashJSONParseError') return 'answered with something other than JSON';
    if (name !== 'UpstashError') return `not reachable${code ? ` (${code})` : ''}`;
    const reason = message.split(', command was:')[0] ?? '';
    return `refused: ${reason.replaceAll(secret, '…').slice(0, 200)}`;
  }

  function heldLock(key: string, token: string): HeldLock {
    return {
      async extend(lifetimeMs) {
        const result = await call('extend', (redis) =>
          redis.eval(extendScript, [key], [token, wholeMs(lifetimeMs)]),
        );
        return result.ok && result.value === 1;
      },
      async release() {
        await call('release', (redis) => redis.eval(releaseScript, [key], [token]));
      },
    };
  }

  return {
    async acquire(name, lifetimeMs) {
      const key = prefix + name;
      const token = newId();
      const result = await call('acquire', (redis) =>
        redis.set(key, token, { nx: true, px: wholeMs(lifetimeMs) }),
      );
      if (!result.ok) return { state: 'unavailable', reason: result.reason };
      if (result.value === 'OK') return { state: 'acquired', lock: heldLock(key, token) };
      if (result.value === null) return { state: 'held' };
      return { state: 'unavailable', reason: 'answered SET with something other than OK or nil' };
    },
  };
}

/** Redis takes whole milliseconds, at least one. */
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
