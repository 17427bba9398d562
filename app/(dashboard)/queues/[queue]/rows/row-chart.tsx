import Link from 'next/link';
import { type Query, rowsHref } from '@/components/link.ts';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { RowChart as Chart } from '@/lib/operate/rows/chart-rows.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

/** From the bottom up. */
const FILLS = {
  done: 'bg-good-bar',
  cancelled: 'bg-retry-bar',
  unknown: 'bg-warn-bar',
  dead: 'bg-bad-bar',
} as const;
const STATES = Object.keys(FILLS) as (keyof typeof FILLS)[];

type Bar = Chart['bars'][number];

interface RowChartProps {
  queue: QueueStats;
  filter: Query;
  /** Null if no row of the filter has an end. */
  chart: Chart | null;
}

/** Draws how many of the rows ended when, by state. A bar leads to its rows. Draws nothing without any. */
export function RowChart({ queue: { name, words }, filter, chart }: RowChartProps) {
  const [first, last] = [chart?.bars[0], chart?.bars.at(-1)];
  const peak = Math.max(0, ...(chart?.bars ?? []).map(totalOf));
  if (!chart || !first || !last || peak === 0) return null;
  return (
    <nav
      aria-label="Rows by their end"
      className="rounded-xl border border-line bg-surface px-4 py-3 sm:px-5"
    >
      <ul className="flex h-20 items-end border-b border-line-strong">
        {chart.bars.map((bar) => (
          <li key={bar.from} className="flex h-full min-w-0 flex-1 flex-col justify-end">
            {totalOf(bar) > 0 && (
              <Link
                href={rowsHref(name, { ...filter, finished_from: bar.from, finished_to: bar.to })}
                prefetch={false}
                className="group flex h-full flex-col justify-end px-0.5"
              >
                <span className="sr-only">
                  <ClockTime at={bar.from} /> to <ClockTime at={bar.to} />: {inWords(bar, words)}
                </span>
                <span
                  aria-hidden="true"
                  className="text-center text-xs text-muted group-hover:text-ink max-sm:hidden"
                >
                  {totalOf(bar).toLocaleString('en-US')}
                </span>
                {STATES.toReversed().map(
                  (state) =>
                    bar[state] > 0 && (
                      <span
                        key={state}
                        aria-hidden="true"
                        className={`${FILLS[state]} min-h-1 shrink-0 group-hover:opacity-80`}
                        style={{ height: `${Math.round((bar[state] / peak) * 60)}%` }}
                      />
                    ),
                )}
              </Link>
            )}
          </li>
        ))}
      </ul>
      <p className="mt-1 flex justify-between gap-4 text-xs text-muted">
        <ClockTime at={first.from} />
        <span className="text-center">
          ended: {inWords(sumOf(chart.bars), words)}
          {chart.more && ' at least: bars end where counting does'}
        </span>
        <ClockTime at={last.to} />
      </p>
    </nav>
  );
}

type Counts = Record<keyof typeof FILLS, number>;

function totalOf(bar: Counts): number {
  return STATES.reduce((sum, state) => sum + bar[state], 0);
}

function sumOf(bars: Bar[]): Counts {
  const sum = (state: keyof Counts) => bars.reduce((all, bar) => all + bar[state], 0);
  return { done: sum('done'), dead: sum('dead'), unknown: sum('unknown'), cancelled: sum('cancelled') };
}

function inWords(counts: Counts, words: QueueStats['words']): string {
  return STATES.filter((state) => counts[state] > 0)
    .map((state) => `${counts[state].toLocaleString('en-US')} ${words[state]}`)
    .join(', ');
}
