import { shortMs } from '@/lib/stats/short-duration.ts';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';

/** `rest` is the phase in which a check ended without a response. */
export type LatencyPhase = 'dns' | 'connect' | 'tls' | 'first byte' | 'body' | 'rest';

/** Splits the time of a check into its phases. Leaves out phases that did not happen or took no time. */
export function latencyPhases(
  last: NonNullable<MonitorSummary['last']>,
): { phase: LatencyPhase; ms: number }[] {
  const known: [LatencyPhase, number | null][] = [
    ['dns', last.dns_ms],
    ['connect', last.connect_ms],
    ['tls', last.tls_ms],
    ['first byte', last.first_byte_ms],
  ];
  const rest = known.reduce((left, [, ms]) => left - (ms ?? 0), last.total_ms);
  const restPhase = restPhaseOf(last);
  // Alone, the rest would be the whole time.
  const hasRest = restPhase !== null && known.some(([, ms]) => ms !== null);
  const all = hasRest ? [...known, [restPhase, rest] as const] : known;
  return all.flatMap(([phase, ms]) => (ms !== null && ms > 0 ? [{ phase, ms }] : []));
}

/** Returns null for a check that only connects: it has no body, and the rest of its time says nothing. */
function restPhaseOf({ first_byte_ms, verdict }: NonNullable<MonitorSummary['last']>): LatencyPhase | null {
  if (first_byte_ms !== null) return 'body';
  return verdict === 'down' ? 'rest' : null;
}

/** Says the time of a check and its phases: `214 ms: dns 2 ms, connect 1 ms, first byte 180 ms, body 31 ms` */
export function latencyInWords(last: NonNullable<MonitorSummary['last']>): string {
  const phases = latencyPhases(last).map(({ phase, ms }) => `${phase} ${shortMs(ms)}`);
  return phases.length === 0 ? shortMs(last.total_ms) : `${shortMs(last.total_ms)}: ${phases.join(', ')}`;
}
