import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import { type AddressGuard, addressGuard, normalHost, type ResolveName } from '../public-address';
import { httpCheck } from './http-check';
import type { CheckResult } from './run-check';
import { tcpCheck } from './tcp-check';

/** Places that are always there, asked so that a failure can be told from a network that is broken. */
export interface Canaries {
  /**
   * Whether one of them has answered since now, at most about 2.8 s later: `ok`, or `broken` where none did. Null where the signal fires
   * before that is known. Rounds are shared: asked for any number of failures at once, about four begin in a second.
   */
  answersSinceNow(signal: AbortSignal): Promise<'ok' | 'broken' | null>;
}

/** Those that have to be looked up first: one that is an address says nothing of a network whose DNS is broken. */
export const namedCanaries = (urls: readonly string[]): string[] => urls.filter(hasName);

export const hasName = (url: string): boolean => isIP(normalHost(new URL(url))) === 0;

/** All in milliseconds. */
export const canaryTimes = {
  /** A round ends after this without an answer. */
  round: 2_500,
  /** From the beginning of a round to that of the next, at least: failures meanwhile share it. */
  between: 250,
  /** So long a broken network is not asked again. */
  broken: 5_000,
};

interface Round {
  startedAt: number;
  answer: Promise<'ok' | 'broken'>;
  end(answer: 'ok' | 'broken'): void;
}

/**
 * `urls`: http, https or tcp, of the operator's own choice, private ones too. Any answer of any of them is one: a status, whatever it
 * is, a TLS handshake, a TCP connection. Null where there are none.
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
    const answer = new Promise<'ok' | 'broken'>((done) => {
      end = done;
    });
    const round = { startedAt: performance.now(), answer, end };
    lastStart = round.startedAt;
    running.add(round);
    void askAll(urls, guard, times.round).then((answered) => {
      // A later round has answered for it.
      if (!running.has(round)) return;
      brokenUntil = answered ? Number.NEGATIVE_INFINITY : performance.now() + times.broken;
      for (const one of running) {
        if (one !== round && !(answered && one.startedAt < round.startedAt)) continue;
        running.delete(one);
        one.end(answered ? 'ok' : 'broken');
      }
    });
    return round;
  };
  /** The next round to begin, which is after now. */
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
    answersSinceNow: (signal) => {
      if (signal.aborted) return Promise.resolve(null);
      if (performance.now() < brokenUntil) return Promise.resolve('broken');
      return new Promise((resolve) => {
        const onAbort = () => resolve(null);
        signal.addEventListener('abort', onAbort, { once: true });
        void join()
          .then((round) => round.answer)
          .then((answer) => {
            signal.removeEventListener('abort', onAbort);
            resolve(answer);
          });
      });
    },
  };
}

/** Whether any answers. The others are not waited for, and closed. */
async function askAll(urls: readonly string[], guard: AddressGuard, timeoutMs: number): Promise<boolean> {
  const ending = new AbortController();
  // Each of them listens.
  setMaxListeners(0, ending.signal);
  try {
    await Promise.any(urls.map((url) => answers(url, guard, timeoutMs, ending.signal)));
    return true;
  } catch {
    return false;
  } finally {
    ending.abort();
  }
}

async function answers(
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
    throw new Error('no answer');
}
