import { Redis } from '@upstash/redis';
import type { Clock, NewId } from '../engine/ports/clock';
import type { Log } from '../engine/ports/log';
import type { HeldLock, OverlapLock } from '../engine/ports/overlap-lock';
import { networkCode } from '../net/network-error';
import { within } from '../net/within';

export interface UpstashLockOptions {
  /** Upstash's REST address and token. They appear in no log and no reason. */
  url: string;
  token: string;
  clock: Clock;
  log: Log;
  newId?: NewId;
  /** The longest that one command may take. */
  timeoutMs?: number;
  /** After so many failures in a row … */
  failuresToOpen?: number;
  /** … Redis is not asked again for so long. */
  openMs?: number;
}

type Answer<T> = { ok: true; value: T } | { ok: false; reason: string };

const prefix = 'punctual:lock:';

/** Both change the key only while it holds our token: after a loss it may be someone else's. */
const extendScript = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0`;
const releaseScript = `if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`;

/**
 * The overlap lock on Upstash Redis, one command a call. It suppresses overlap and no more: Upstash
 * replicates asynchronously, last writer wins (https://upstash.com/docs/redis/features/consistency).
 *
 * When the answer to SET is lost, the lock may stand without a holder until its lifetime ends. So the
 * first lifetime should be short, and extended when there is work.
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

  async function ask<T>(command: string, send: (redis: Redis) => Promise<T>): Promise<Answer<T>> {
    if (clock.now() < openUntil)
      return { ok: false, reason: 'Redis failed several times and is left alone for a while' };
    const attempt = async (signal: AbortSignal): Promise<Answer<T>> => {
      try {
        const value = await send(connect(signal));
        failuresInARow = 0;
        return { ok: true, value };
      } catch (error) {
        const reason = signal.aborted ? `no answer within ${timeoutMs} ms` : describe(error);
        failuresInARow += 1;
        if (failuresInARow >= failuresToOpen) openUntil = clock.now() + openMs;
        log.warn(
          { command, reason, failuresInARow, leftAloneMs: failuresInARow >= failuresToOpen ? openMs : 0 },
          'lock unavailable',
        );
        return { ok: false, reason };
      }
    };
    return within(undefined, timeoutMs, attempt, (ms, fire) => clock.timer(ms, fire));
  }

  /** A client is a few closures over `fetch`; one a call, since its signal belongs to the client. */
  function connect(signal: AbortSignal): Redis {
    return new Redis({
      url,
      token: secret,
      // As a function: with a plain signal an abort would be answered as if it were Redis' result.
      signal: () => signal,
      // `retry: false` would still try twice.
      retry: { retries: 0 },
      enableTelemetry: false,
      readYourWrites: false,
    });
  }

  /** The error's own text would tell the command, and for a malformed address the address. */
  function describe(error: unknown): string {
    const { name, message, cause } = error as Error;
    const code = networkCode(cause);
    if (name === 'UrlError') return 'the address is not an http(s) URL';
    if (name === 'UpstashJSONParseError') return 'answered with something other than JSON';
    if (name !== 'UpstashError') return `not reachable${code ? ` (${code})` : ''}`;
    const said = message.split(', command was:')[0] ?? '';
    return `refused: ${said.replaceAll(secret, '…').slice(0, 200)}`;
  }

  function heldLock(key: string, token: string): HeldLock {
    return {
      async extend(lifetimeMs) {
        const answer = await ask('extend', (redis) =>
          redis.eval(extendScript, [key], [token, wholeMs(lifetimeMs)]),
        );
        return answer.ok && answer.value === 1;
      },
      async release() {
        await ask('release', (redis) => redis.eval(releaseScript, [key], [token]));
      },
    };
  }

  return {
    async acquire(name, lifetimeMs) {
      const key = prefix + name;
      const token = newId();
      const answer = await ask('acquire', (redis) =>
        redis.set(key, token, { nx: true, px: wholeMs(lifetimeMs) }),
      );
      if (!answer.ok) return { state: 'unavailable', reason: answer.reason };
      if (answer.value === 'OK') return { state: 'acquired', lock: heldLock(key, token) };
      if (answer.value === null) return { state: 'held' };
      return { state: 'unavailable', reason: 'answered SET with something other than OK or nil' };
    },
  };
}

/** Redis takes whole milliseconds, at least one. */
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
