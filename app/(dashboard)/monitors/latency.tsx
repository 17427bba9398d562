import { shortMs } from '@/lib/stats/short-duration';
import type { MonitorSummary } from '@/lib/store/monitoring';
import { type LatencyKind, latencyInWords, latencyParts } from './latency-parts';

/** The wait for the first byte is what is mostly looked for; what comes before it is the network's. */
const FILL: Record<LatencyKind, string> = {
  dns: 'bg-retry-bar/50',
  connect: 'bg-retry-bar',
  tls: 'bg-muted',
  'first byte': 'bg-accent',
  body: 'bg-good-bar',
  rest: 'bg-bad-bar',
};

/** How long the last check took, and what for: a bar, and all of it in words to be had by pointing at it. */
export function Latency({ last }: { last: MonitorSummary['last'] }) {
  if (last === null) return <span className="text-muted">–</span>;
  const parts = latencyParts(last);
  const whole = parts.reduce((sum, { ms }) => sum + ms, 0);
  return (
    <span title={latencyInWords(last)} className="inline-flex items-center gap-2 whitespace-nowrap">
      <span aria-hidden="true" className="flex h-1.5 w-12 overflow-hidden rounded-full bg-line">
        {parts.map(({ kind, ms }) => (
          <span key={kind} className={`h-full ${FILL[kind]}`} style={{ width: `${(ms / whole) * 100}%` }} />
        ))}
      </span>
      <span className="min-w-12 text-right">{shortMs(last.total_ms)}</span>
    </span>
  );
}
