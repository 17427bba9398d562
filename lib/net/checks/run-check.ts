import { trackBusyTime, withinFairly } from '../within-fairly.ts';
import { describeFailure } from './failed-check.ts';

/** The result of a check. Milliseconds are whole; null means that the phase did not occur or did not end. */
export interface CheckResult {
  verdict: 'up' | 'degraded' | 'down';
  /** Why it is not up, for a person; up to 300 characters. */
  error: string | null;
  statusCode: number | null;
  redirects: number;
  /** The IP address of the last hop's connection. */
  address: string | null;
  /** Phases are summed over the hops of redirects. */
  dnsMs: number | null;
  connectMs: number | null;
  tlsMs: number | null;
  firstByteMs: number | null;
  /** From the start of the check to the last byte. */
  totalMs: number;
  /** ISO 8601; the earliest of all hops. */
  certificateExpiresAt: string | null;
}

export interface CheckLimits {
  /** Milliseconds for the whole check. */
  timeoutMs: number;
  /** A slower check is degraded; null for no limit. */
  degradedMs: number | null;
}

export type Phase = 'dns' | 'connect' | 'tls' | 'firstByte' | 'body';

/** A check records its findings here as it runs, so they are known at whatever point it ends. */
export interface Trace {
  statusCode: number | null;
  redirects: number;
  address: string | null;
  certificateExpiresAt: string | null;
  /** Ends the current phase and starts the next one; null starts none. */
  enter(phase: Phase | null): void;
}

const phaseWords: Record<Phase, string> = {
  dns: 'resolving its name',
  connect: 'connecting',
  tls: 'negotiating TLS',
  firstByte: 'waiting for its response',
  body: 'reading its response',
};

/**
 * Runs a check within its time. `work` returns why the site is degraded, or null. It rejects if the site is down or its signal fires, and leaves
 * nothing open. Never rejects.
 */
export async function runCheck(
  { timeoutMs, degradedMs }: CheckLimits,
  signal: AbortSignal,
  work: (trace: Trace, signal: AbortSignal) => Promise<string | null>,
): Promise<CheckResult> {
  const startedAt = performance.now();
  const elapsedMs = () => Math.round(performance.now() - startedAt);
  const creditMs = trackBusyTime(timeoutMs);
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
  const activity = () => (current ? phaseWords[current.phase] : 'checking');

  const { failure, weakness } = await withinFairly(signal, timeoutMs, async (inTime) => {
    try {
      inTime.throwIfAborted();
      return { failure: null, weakness: await work(trace, inTime) };
    } catch (error) {
      const reason = inTime.aborted
        ? `${signal.aborted ? `stopped after ${elapsedMs()}` : `timed out after ${timeoutMs}`} ms while ${activity()}`
        : describeFailure(error);
      return { failure: afterRedirects(reason, trace.redirects), weakness: null };
    }
  });
  const totalMs = elapsedMs();
  const slow =
    // Time in which this process was busy does not count against the site.
    degradedMs !== null && totalMs - creditMs() > degradedMs
      ? `it took ${totalMs} ms, which is more than ${degradedMs} ms`
      : null;
  const weaknesses = [slow, weakness].filter((text) => text !== null).join('; ');
  const ms = (phase: Phase) => {
    const value = spent[phase];
    return value === undefined ? null : Math.round(value);
  };
  return {
    verdict: failure !== null ? 'down' : weaknesses !== '' ? 'degraded' : 'up',
    error: oneLine(failure ?? weaknesses) || null,
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

/** Replaces control characters by blanks and cuts to 300 UTF-16 units, without half of a surrogate pair. */
const oneLine = (text: string) =>
  text
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 300)
    .toWellFormed();
