import { shortMs } from '@/lib/stats/short-duration';
import type { MonitorSummary } from '@/lib/store/monitoring';

/** `rest`: what it was at when it ended without an answer. */
export type LatencyKind = 'dns' | 'connect' | 'tls' | 'first byte' | 'body' | 'rest';

/** What the time of a check went to, without the parts that there were not, or that took none. */
export function latencyParts(last: NonNullable<MonitorSummary['last']>): { kind: LatencyKind; ms: number }[] {
  const known: [LatencyKind, number | null][] = [
    ['dns', last.dns_ms],
    ['connect', last.connect_ms],
    ['tls', last.tls_ms],
    ['first byte', last.first_byte_ms],
  ];
  const rest = known.reduce((left, [, ms]) => left - (ms ?? 0), last.total_ms);
  const restKind = restOf(last);
  // Without the others it would be no part, but the whole.
  const withRest = restKind !== null && known.some(([, ms]) => ms !== null);
  const all = withRest ? [...known, [restKind, rest] as const] : known;
  return all.flatMap(([kind, ms]) => (ms !== null && ms > 0 ? [{ kind, ms }] : []));
}

/** A check that only connects has no body, and what it took besides is not worth a word. */
function restOf({ first_byte_ms, verdict }: NonNullable<MonitorSummary['last']>): LatencyKind | null {
  if (first_byte_ms !== null) return 'body';
  return verdict === 'down' ? 'rest' : null;
}

/** `214 ms: dns 2 ms, connect 1 ms, first byte 180 ms, body 31 ms` */
export function latencyInWords(last: NonNullable<MonitorSummary['last']>): string {
  const parts = latencyParts(last).map(({ kind, ms }) => `${kind} ${shortMs(ms)}`);
  return parts.length === 0 ? shortMs(last.total_ms) : `${shortMs(last.total_ms)}: ${parts.join(', ')}`;
}
