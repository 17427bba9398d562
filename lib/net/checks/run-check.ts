import { givenBackSinceNow, withinFairly } from '../within-fairly';
import { tellFailure } from './failed-check';

/** What a check found. Milliseconds are whole; null: there was no such phase, or it was not ended. */
export interface CheckResult {
  verdict: 'up' | 'degraded' | 'down';
  /** Why it is not up, for a person, at most 300 characters. */
  error: string | null;
  statusCode: number | null;
  redirects: number;
  /** The IP address that was connected to, in the last hop. */
  address: string | null;
  /** Phases are summed over the hops of redirects. */
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
  firstByteMs: number | null;
  /** From the first question to the last byte. */
  totalMs: number;
  /** ISO 8601; of several hops the earliest. */
  certificateExpiresAt: string | null;
}

export interface CheckLimits {
  /** Milliseconds for the whole check. */
  timeoutMs: number;
  /** Slower than this is degraded; null: never. */
  degradedMs: number | null;
}

export type Phase = 'dns' | 'connect' | 'tls' | 'firstByte' | 'body';

/** What a check writes down while it goes on, so that it is known wherever it ends. */
export interface Trace {
  statusCode: number | null;
  redirects: number;
  address: string | null;
  certificateExpiresAt: string | null;
  /** The next phase begins, and the one before it has ended. Null: none goes on. */
  enter(phase: Phase | null): void;
}

const phaseWords: Record<Phase, string> = {
  dns: 'looking up its name',
  connect: 'connecting',
  tls: 'agreeing on TLS',
  firstByte: 'waiting for its answer',
  body: 'reading its answer',
};

/**
 * Does a check within its time. `work` rejects where it finds something wrong, or when its signal fires, and leaves nothing open; it
 * answers why the checked is degraded, or null. Never rejects.
 */
export async function runCheck(
  { timeoutMs, degradedMs }: CheckLimits,
  signal: AbortSignal,
  work: (trace: Trace, signal: AbortSignal) => Promise<string | null>,
): Promise<CheckResult> {
  const startedAt = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  const givenBackMs = givenBackSinceNow(timeoutMs);
  const spent: Partial<Record<Phase, number>> = {};
  let current: { phase: Phase; since: number } | null = null;
  const trace: Trace = {
    statusCode: null,
    redirects: 0,
    address: null,
    certificateExpiresAt: null,
    enter(phase) {
      const now = performance.now();
      if (current) spent[current.phase] = (spent[current.phase] ?? 0) + now - current.since;
      current = phase && { phase, since: now };
    },
  };
  const doing = () => (current ? phaseWords[current.phase] : 'checking');

  const { failure, weakness } = await withinFairly(signal, timeoutMs, async (inTime) => {
    try {
      inTime.throwIfAborted();
      return { failure: null, weakness: await work(trace, inTime) };
    } catch (error) {
      const told = inTime.aborted
        ? `not done within ${signal.aborted ? elapsedMs() : timeoutMs} ms, while ${doing()}`
        : tellFailure(error);
      return { failure: afterRedirects(told, trace.redirects), weakness: null };
    }
  });
  const totalMs = elapsedMs();
  const slow =
    // What this process itself was busy with is not the site's doing.
    degradedMs !== null && totalMs - givenBackMs() > degradedMs
      ? `it took ${totalMs} ms, which is more than ${degradedMs} ms`
      : null;
  const weaknesses = [slow, weakness].filter((text) => text !== null).join('; ');
  const ms = (phase: Phase) => {
    const value = spent[phase];
    return value === undefined ? null : Math.round(value);
  };
  return {
    verdict: failure !== null ? 'down' : weaknesses !== '' ? 'degraded' : 'up',
    error: cut(failure ?? weaknesses) || null,
    statusCode: trace.statusCode,
    redirects: trace.redirects,
    address: trace.address,
    dnsMs: ms('dns'),
    connectMs: ms('connect'),
    tlsMs: ms('tls'),
    firstByteMs: ms('firstByte'),
    totalMs,
    certificateExpiresAt: trace.certificateExpiresAt,
  };
}

const afterRedirects = (text: string, redirects: number) =>
  redirects === 0 ? text : `${text} (after ${redirects} ${redirects === 1 ? 'redirect' : 'redirects'})`;

/** In whole characters, without what would break a line. */
const cut = (text: string) =>
  text
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 300)
    .toWellFormed();
