import { lastHour, SETTLED, type Settled } from '@/components/last-hour.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { MINUTE_BAR_FILL, MinuteBar } from './minute-bar.tsx';

interface ThroughputChartProps {
  throughput: QueueStats['throughput'];
  words: QueueStats['words'];
  /** When the figures were read. */
  now: string;
}

/** Draws the rows settled in each of the last sixty minutes as bars, below their totals. */
export function ThroughputChart({ throughput, words, now }: ThroughputChartProps) {
  const minutes = lastHour(throughput, now);
  const peak = Math.max(...minutes.map(({ total }) => total));
  const labels: Record<Settled, string> = { ...words, retried: 'retried' };
  const totals = SETTLED.map((kind) => ({
    kind,
    label: labels[kind],
    count: minutes.reduce((sum, minute) => sum + minute[kind], 0).toLocaleString('en-US'),
  })).filter(({ count }) => count !== '0');

  return (
    <section>
      <div className="flex flex-wrap items-baseline gap-x-5 gap-y-1">
        <h3 className="font-semibold">Last hour</h3>
        <ul className="flex flex-wrap gap-x-4 gap-y-1 text-muted">
          {totals.map(({ kind, label, count }) => (
            <li key={kind} className="inline-flex items-center gap-1.5">
              <span
                aria-hidden="true"
                className="size-2 rounded-xs"
                style={{ background: MINUTE_BAR_FILL[kind] }}
              />
              <span>
                <span className="text-ink">{count}</span> {label}
              </span>
            </li>
          ))}
        </ul>
        <p className="text-muted sm:ml-auto">
          {peak > 0 ? `busiest minute: ${peak.toLocaleString('en-US')}` : 'Nothing was settled.'}
        </p>
      </div>
      {peak > 0 && (
        <>
          <svg
            role="img"
            aria-label={`One bar a minute: ${totals.map(({ label, count }) => `${count} ${label}`).join(', ')}`}
            viewBox="0 0 60 100"
            preserveAspectRatio="none"
            className="mt-3 block h-24 w-full border-b border-line-strong"
          >
            {minutes.map((minute, index) => (
              <MinuteBar key={minute.minutesAgo} minute={minute} x={index} peak={peak} labels={labels} />
            ))}
          </svg>
          <p aria-hidden="true" className="mt-1.5 flex justify-between text-xs text-muted">
            <span>60 min ago</span>
            <span>30 min ago</span>
            <span>now</span>
          </p>
        </>
      )}
    </section>
  );
}
