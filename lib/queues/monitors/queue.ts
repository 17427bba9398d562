import { z } from 'zod';
import { again } from '../../engine/outcome.ts';
import { defineQueue } from '../../engine/queue.ts';
import { type Canaries, canaries, hasName, namedCanaries } from '../../net/checks/canaries.ts';
import { httpCheck } from '../../net/checks/http-check.ts';
import type { ConnectOptions } from '../../net/checks/open-connection.ts';
import type { CheckResult } from '../../net/checks/run-check.ts';
import { readStatuses } from '../../net/checks/status-ranges.ts';
import { tcpCheck } from '../../net/checks/tcp-check.ts';
import { tlsCheck } from '../../net/checks/tls-check.ts';
import { dnsResolver } from '../../net/dns-resolver.ts';
import { type AddressGuard, addressGuard } from '../../net/public-address.ts';

/** The one column without which a monitor could not be rescheduled. */
const row = z.looseObject({ interval_seconds: z.number().positive() });

const settings = z.object({
  url: z.string().refine((url) => URL.canParse(url), 'is not a valid URL'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']),
  headers: z.record(z.string(), z.string()),
  expected_status: z
    .string()
    .refine(
      (text) => readStatuses(text) !== null,
      'is not a list of statuses: write for example 200-299,301',
    ),
  keyword_present: z.string().nullable(),
  keyword_absent: z.string().nullable(),
  timeout_ms: z.number().positive(),
  max_redirects: z.number().nonnegative(),
  degraded_ms: z.number().nullable(),
  certificate_days: z.number().nullable(),
});

type Monitor = z.infer<typeof settings>;

export interface MonitorDeps extends ConnectOptions {
  /** Null if none are configured. Then it is unknown whether the network caused a failure. */
  canaries: Canaries | null;
  /** The canaries with host names, for monitors with host names. */
  namedCanaries?: Canaries | null;
}

export interface MonitorEnv {
  /** Private addresses that may be checked: see `addressGuard`. */
  monitorAllowPrivate?: string[];
  /** See `canaries`. */
  monitorCanaries?: string[];
  /** DNS servers as `ip` or `ip:port`; the system's by default. */
  monitorDnsServers?: string[];
}

/** Makes the guard of the addresses that monitors may check. It is used when a monitor is created or changed, and again for each connection. */
export const monitorGuard = ({ monitorAllowPrivate, monitorDnsServers }: MonitorEnv): AddressGuard =>
  addressGuard(monitorAllowPrivate, {
    protocols: ['http:', 'https:', 'tcp:', 'tls:'],
    resolve: dnsResolver(monitorDnsServers),
    variable: 'MONITOR_ALLOW_PRIVATE',
  });

/** Recurring checks of sites. A failing site is a result, never a failure of the row. */
export const monitors = defineQueue<z.infer<typeof row>, MonitorDeps, MonitorEnv>({
  name: 'monitors',
  row,
  delivery: 'at-least-once',
  partitions: 'named',
  // The longest check takes 30 s, and the canaries take the rest.
  timeoutMs: 33_000,

  connect(env) {
    const resolve = dnsResolver(env.monitorDnsServers);
    const urls = env.monitorCanaries ?? [];
    return {
      guard: monitorGuard(env),
      canaries: canaries(urls, resolve),
      namedCanaries: canaries(namedCanaries(urls), resolve),
    };
  },

  async perform(claimed, { deps, signal }) {
    const startedAt = performance.now();
    const { data: monitor, error } = settings.safeParse(claimed);
    if (!monitor) {
      // The row was written without the API. It is rescheduled, and its error says what is wrong.
      const [fault] = error.issues;
      const text = `its settings are invalid: ${fault?.path.join('.')}: ${fault?.message}`;
      return again(claimed.interval_seconds, {
        verdict: 'down',
        error: text.slice(0, 300),
        total_ms: 0,
        took_ms: 0,
      });
    }
    const check = await checkSite(monitor, deps, signal);
    // The cause may be the network of the region that runs the check.
    const witnesses = (hasName(monitor.url) && deps.namedCanaries) || deps.canaries;
    const network = check.verdict === 'down' && witnesses ? await witnesses.probe(signal) : null;
    return again(claimed.interval_seconds, {
      verdict: check.verdict,
      error: check.error,
      network,
      status_code: check.statusCode,
      redirects: check.redirects,
      address: check.address,
      dns_ms: check.dnsMs,
      connect_ms: check.connectMs,
      tls_ms: check.tlsMs,
      first_byte_ms: check.firstByteMs,
      total_ms: check.totalMs,
      certificate_expires_at: check.certificateExpiresAt,
      took_ms: Math.round(performance.now() - startedAt),
    });
  },
});

/** Runs the check that the URL's scheme names. */
function checkSite(monitor: Monitor, options: ConnectOptions, signal: AbortSignal): Promise<CheckResult> {
  const limits = {
    url: monitor.url,
    timeoutMs: monitor.timeout_ms,
    degradedMs: monitor.degraded_ms,
    certificateDays: monitor.certificate_days,
  };
  switch (new URL(monitor.url).protocol) {
    case 'tcp:':
      return tcpCheck(limits, options, signal);
    case 'tls:':
      return tlsCheck(limits, options, signal);
    default:
      return httpCheck(
        {
          ...limits,
          method: monitor.method,
          headers: monitor.headers,
          expectedStatus: monitor.expected_status,
          keywordPresent: monitor.keyword_present,
          keywordAbsent: monitor.keyword_absent,
          maxRedirects: monitor.max_redirects,
        },
        options,
        signal,
      );
  }
}
