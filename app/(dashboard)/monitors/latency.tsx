import { shortMs } from '@/lib/stats/short-duration.ts';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { type LatencyPhase, latencyInWords, latencyPhases } from './latency-phases.ts';

/** The wait for the first byte matters most, so it has the accent colour. The phases before it are the network's. */
const FILL: Record<LatencyPhase, string> = {
  dns: 'bg-retry-bar/50',
  connect: 'bg-retry-bar',
  tls: 'bg-muted',
  'first byte': 'bg-accent',
  body: 'bg-good-bar',
  rest: 'bg-bad-bar',
};

/** Draws how long the last check took: a bar of its phases and the total; the phases in words are for screen readers. */
export function Latency({ last }: { last: MonitorSummary['last'] }) {
  if (last === null) return <span className="text-muted">–</span>;
  const phases = latencyPhases(last);
  const whole = phases.reduce((sum, { ms }) => sum + ms, 0);
  return (
    <span className="inline-flex items-center gap-2 whitespace-nowrap">
      <span aria-hidden="true" className="flex h-1.5 w-12 overflow-hidden rounded-full bg-line">
        {phases.map(({ phase, ms }) => (
          <span key={phase} className={`h-full ${FILL[phase]}`} style={{ width: `${(ms / whole) * 100}%` }} />
        ))}
      </span>
      <span aria-hidden="true" className="min-w-12 text-right">
        {shortMs(last.total_ms)}
      </span>
      <span className="sr-only">{latencyInWords(last)}</span>
    </span>
  );
}
