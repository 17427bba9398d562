import {
  OUTCOME_FILL,
  OUTCOMES,
  type Outcome,
  settledBars,
  settledInWords,
} from '@/components/settled/settled.ts';
import { SettledChart } from '@/components/settled/settled-chart.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

const minuteMs = 60_000;

interface ThroughputChartProps {
  throughput: QueueStats['throughput'];
  words: QueueStats['words'];
  /** When the figures were read. */
  now: string;
}

/** Draws the rows settled in each of the last sixty minutes as bars, below their totals. The minutes unfold to figures. */
export function ThroughputChart({ throughput, words, now }: ThroughputChartProps) {
  const minutes = settledBars(throughput, now, 60, minuteMs);
  const peak = Math.max(...minutes.map(({ total }) => total));
  const labels: Record<Outcome, string> = { ...words, retried: 'retried' };
  const totals = OUTCOMES.map((kind) => ({
    kind,
    count: minutes.reduce((sum, minute) => sum + minute[kind], 0),
  })).filter(({ count }) => count > 0);

  return (
    <section>
      <div className="flex flex-wrap items-baseline gap-x-5 gap-y-1">
        <h3 className="font-semibold">Last hour</h3>
        <ul className="flex flex-wrap gap-x-4 gap-y-1 text-muted">
          {totals.map(({ kind, count }) => (
            <li key={kind} className="inline-flex items-center gap-1.5">
              <span
                aria-hidden="true"
                className="size-2 rounded-xs"
                style={{ background: OUTCOME_FILL[kind] }}
              />
              <span>
                <span className="text-ink">{count.toLocaleString('en-US')}</span> {labels[kind]}
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
          <SettledChart
            bars={minutes}
            label={`By minute: ${settledInWords(minutes, words)}`}
            className="mt-3 block h-24 w-full border-b border-line-strong"
          />
          <p aria-hidden="true" className="mt-1.5 flex justify-between text-xs text-muted">
            <span>60 min ago</span>
            <span>30 min ago</span>
            <span>now</span>
          </p>
          <details className="text-muted">
            <summary className="cursor-pointer py-1 hover:text-ink">By minute</summary>
            <ul className="mt-1 columns-2 gap-6 sm:columns-3">
              {minutes.map((minute, index) =>
                minute.total === 0 ? null : (
                  <li key={minute.at}>
                    {index === 59 ? 'this minute' : `${59 - index} min ago`}:{' '}
                    {settledInWords([minute], words)}
                  </li>
                ),
              )}
            </ul>
          </details>
        </>
      )}
    </section>
  );
}
