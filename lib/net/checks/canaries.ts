import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import { type AddressGuard, addressGuard, normalHost, type ResolveName } from '../public-address.ts';
import { httpCheck } from './http-check.ts';
import type { CheckResult } from './run-check.ts';
import { tcpCheck } from './tcp-check.ts';

/** Reliable places. They show whether a failed check is due to the site or to our own network. */
export interface Canaries {
  /**
   * Probes them, which takes up to about 2.8 s. Returns `ok` if one responds, `broken` if none does, and null if the signal fires first. Failed
   * checks share a round of probes: at most four rounds start in a second, for any number of failures. After a broken round it returns `broken`
   * at once for 5 s.
   */
  probe(signal: AbortSignal): Promise<'ok' | 'broken' | null>;
}

/** Returns the canaries with a host name. An IP address may respond although DNS is broken. */
export const namedCanaries = (urls: readonly string[]): string[] => urls.filter(hasName);

export const hasName = (url: string): boolean => isIP(normalHost(new URL(url))) === 0;

/** In milliseconds. */
const canaryTimes = {
  /** A round without a response ends after this. */
  round: 2_500,
  /** The least time between the starts of two rounds. Failures meanwhile share the next round. */
  between: 250,
  /** A broken network is not probed again for this long. */
  broken: 5_000,
};

interface Round {
  startedAt: number;
  result: Promise<'ok' | 'broken'>;
  end(result: 'ok' | 'broken'): void;
}

/**
 * Makes canaries of the operator's http, https or tcp URLs, which may be private. Any response counts: any HTTP status, a TLS handshake or a TCP
 * connection. Returns null if there are no URLs.
 */
export function canaries(
  urls: readonly string[],
  resolve: ResolveName,
  times = canaryTimes,
): Canaries | null {
  if (urls.length === 0) return null;
  const guard = addressGuard(['0.0.0.0/0', '::/0'], { protocols: ['http:', 'https:', 'tcp:'], resolve });
  const running = new Set<Round>();
  let next: Promise<Round> | null = null;
  let lastStart = Number.NEGATIVE_INFINITY;
  let brokenUntil = Number.NEGATIVE_INFINITY;

  const begin = (): Round => {
    let end: Round['end'] = () => {};
    const result = new Promise<'ok' | 'broken'>((done) => {
      end = done;
    });
    const round = { startedAt: performance.now(), result, end };
    lastStart = round.startedAt;
    running.add(round);
    void probeAll(urls, guard, times.round).then((responded) => {
      // A later round has ended it already.
      if (!running.has(round)) return;
      brokenUntil = responded ? Number.NEGATIVE_INFINITY : performance.now() + times.broken;
      for (const other of running) {
        if (other !== round && !(responded && other.startedAt < round.startedAt)) continue;
        running.delete(other);
        other.end(responded ? 'ok' : 'broken');
      }
    });
    return round;
  };
  /** Returns the next round, which starts after this call. */
  const join = (): Promise<Round> => {
    next ??= new Promise<Round>((started) => {
      setTimeout(
        () => {
          next = null;
          started(begin());
        },
        Math.max(lastStart + times.between - performance.now(), 0),
      );
    });
    return next;
  };

  return {
    probe: (signal) => {
      if (signal.aborted) return Promise.resolve(null);
      if (performance.now() < brokenUntil) return Promise.resolve('broken');
      return new Promise((resolve) => {
        const onAbort = () => resolve(null);
        signal.addEventListener('abort', onAbort, { once: true });
        void join()
          .then((round) => round.result)
          .then((result) => {
            signal.removeEventListener('abort', onAbort);
            resolve(result);
          });
      });
    },
  };
}

/** Whether any of the URLs responds. Closes the other connections then. */
async function probeAll(urls: readonly string[], guard: AddressGuard, timeoutMs: number): Promise<boolean> {
  const ending = new AbortController();
  // Each probe adds a listener.
  setMaxListeners(0, ending.signal);
  try {
    await Promise.any(urls.map((url) => probeOne(url, guard, timeoutMs, ending.signal)));
    return true;
  } catch {
    return false;
  } finally {
    ending.abort();
  }
}

/** Rejects if the URL does not respond. */
async function probeOne(
  url: string,
  guard: AddressGuard,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const limits = { url, timeoutMs, degradedMs: null };
  const result: CheckResult = url.startsWith('tcp:')
    ? await tcpCheck(limits, { guard }, signal)
    : await httpCheck(
        {
          ...limits,
          method: 'HEAD',
          headers: {},
          expectedStatus: '100-999',
          keywordPresent: null,
          keywordAbsent: null,
          maxRedirects: 0,
          certificateDays: null,
        },
        { guard },
        signal,
      );
  const { verdict, statusCode, certificateExpiresAt } = result;
  if (verdict === 'down' && statusCode === null && certificateExpiresAt === null)
    throw new Error('no response');
}
