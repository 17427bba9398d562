import { TickOutcome } from '@/components/tick-outcome.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { shortMs } from '@/lib/stats/short-duration.ts';
import type { LedgerTick, QueueStats } from '@/lib/store/stats.ts';
import { reportFields } from './report-fields.ts';
import { TickBudget } from './tick-budget.tsx';
import { tickColumns } from './tick-columns.ts';
import { TickDetails } from './tick-details.tsx';

interface TickTableProps {
  ticks: LedgerTick[];
  words: QueueStats['words'];
}

interface TickGroupProps {
  tick: LedgerTick;
  columns: ReturnType<typeof tickColumns>;
  words: QueueStats['words'];
}

/** Draws ticks on wide screens, each as a group of two rows. `TickCards` draws them on narrow ones. */
export function TickTable({ ticks, words }: TickTableProps) {
  const columns = tickColumns(ticks, words);
  return (
    <div className="-mx-1 mt-2 hidden overflow-x-auto px-1 lg:block">
      <table className="w-full border-collapse text-[0.8125rem]">
        <thead>
          <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal">
            <th scope="col">started</th>
            <th scope="col">outcome</th>
            {columns.map(({ key, label, meaning }) => (
              <th key={key} scope="col" title={meaning} className="pl-4 text-right">
                {label}
              </th>
            ))}
            <th scope="col" className="pl-6" title="the time in which the tick starts rows and settles them">
              used of its budget
            </th>
            <th
              scope="col"
              className="pl-4 text-right"
              title="the median and the 95th percentile of the time of an attempt"
            >
              p50 / p95
            </th>
          </tr>
        </thead>
        {ticks.map((tick) => (
          <TickGroup key={tick.id} tick={tick} columns={columns} words={words} />
        ))}
      </table>
    </div>
  );
}

function TickGroup({ tick, columns, words }: TickGroupProps) {
  const { usedMs, budgetMs, performMs } = reportFields(tick.report);
  return (
    <tbody className="border-b border-line last:border-0">
      <tr className="*:pt-2.5">
        <th scope="rowgroup" className="text-left font-medium">
          <RelativeTime at={tick.started_at} />
        </th>
        <td>
          <TickOutcome tick={tick} />
        </td>
        {columns.map(({ key, tone }) => (
          <td key={key} className={`pl-4 text-right ${tick[key] > 0 ? tone : 'text-muted'}`}>
            {tick[key]}
          </td>
        ))}
        <td className="pl-6">
          <TickBudget usedMs={usedMs} budgetMs={budgetMs} />
        </td>
        <td className="pl-4 text-right whitespace-nowrap">
          {performMs.p50 === null
            ? '–'
            : `${shortMs(performMs.p50)} / ${shortMs(performMs.p95 ?? performMs.p50)}`}
        </td>
      </tr>
      <tr>
        <td colSpan={columns.length + 4} className="pt-0.5 pb-2.5 text-xs">
          <TickDetails tick={tick} words={words} />
        </td>
      </tr>
    </tbody>
  );
}
