import { TickOutcome } from '@/components/tick-outcome.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { shortMs } from '@/lib/stats/short-duration.ts';
import type { LedgerTick, QueueStats } from '@/lib/store/stats.ts';
import { reportFields } from './report-fields.ts';
import { TickBudget } from './tick-budget.tsx';
import { tickColumns } from './tick-columns.ts';
import { TickDetails } from './tick-details.tsx';

interface TickCardsProps {
  ticks: LedgerTick[];
  words: QueueStats['words'];
}

/** Draws ticks on narrow screens, with only the counts that are not zero. */
export function TickCards({ ticks, words }: TickCardsProps) {
  const columns = tickColumns(ticks, words);
  return (
    <ul className="mt-2 divide-y divide-line border-t border-line lg:hidden">
      {ticks.map((tick) => {
        const { usedMs, budgetMs, performMs } = reportFields(tick.report);
        const counts = columns.filter(({ key }) => tick[key] > 0);
        return (
          <li key={tick.id} className="grid grid-cols-[minmax(0,1fr)] gap-1.5 py-3">
            <div className="flex flex-wrap items-center justify-between gap-2">
              <span className="inline-flex items-center gap-2 font-medium">
                <RelativeTime at={tick.started_at} />
                <TickOutcome tick={tick} />
              </span>
              {usedMs !== null && (
                <span className="text-[0.8125rem]">
                  <TickBudget usedMs={usedMs} budgetMs={budgetMs} />
                </span>
              )}
            </div>
            {counts.length > 0 && (
              <p className="flex flex-wrap gap-x-3 gap-y-0.5">
                {counts.map(({ key, label, tone }) => (
                  <span key={key} className={tone}>
                    {tick[key]} {label}
                  </span>
                ))}
                {performMs.p50 !== null && (
                  <span className="text-muted">
                    p50 {shortMs(performMs.p50)}
                    {performMs.p95 !== null && `, p95 ${shortMs(performMs.p95)}`}
                  </span>
                )}
              </p>
            )}
            <div className="text-xs">
              <TickDetails tick={tick} words={words} />
            </div>
          </li>
        );
      })}
    </ul>
  );
}
