import { type Column, ResponsiveTable } from '@/components/lists/responsive-table.tsx';
import { DayAccounts, DayName, OutcomeCounts, Percentiles } from './day-cells.tsx';
import type { QueueDay } from './queue-days.ts';

/** Draws days in order. Only the first line of a day shows its name, under a rule. */
export function DayTable({ days }: { days: QueueDay[] }) {
  const isFirst = ({ day }: QueueDay, index: number) => day !== days[index - 1]?.day;
  const columns: Column<QueueDay>[] = [
    {
      head: 'day',
      cellClass: 'w-[16%] font-medium',
      cell: (entry, index) => (
        <span className={isFirst(entry, index) ? '' : 'sr-only'}>
          <DayName day={entry.day} partial={entry.partial} />
        </span>
      ),
    },
    { head: 'queue', className: 'pl-4', isRowHead: true, cell: ({ queue }) => queue },
    { head: 'outcomes', className: 'pl-4', cell: (entry) => <OutcomeCounts of={entry} /> },
    {
      head: 'p50 / p95',
      title:
        'The median and the 95th percentile. Of rows that are done: from due to settled. Of monitors: how long checks took that found them up.',
      className: 'pl-4 text-right',
      cell: (entry) => <Percentiles of={entry} />,
    },
    {
      head: 'accounts',
      className: 'pl-8',
      cellClass: 'w-[34%]',
      cell: (entry) => <DayAccounts of={entry} />,
    },
  ];
  return (
    <ResponsiveTable
      items={days}
      columns={columns}
      keyOf={({ key }) => key}
      rowClass={(entry, index) =>
        `*:py-1.5 ${isFirst(entry, index) ? '*:border-t *:border-line' : ''} ${index === 0 ? '*:border-t-0' : ''}`
      }
      listClass="divide-y divide-line"
      cardClass={() => 'gap-0.5 py-2.5 first:pt-0'}
      card={(entry) => (
        <>
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <span className="font-medium">{entry.queue}</span>
            <span className="text-muted">
              <DayName day={entry.day} partial={entry.partial} />
            </span>
          </p>
          <OutcomeCounts of={entry} />
          {entry.p50 !== null && (
            <p className="text-muted">
              p50 / p95 <Percentiles of={entry} />
            </p>
          )}
          {entry.accounts.length > 0 && <DayAccounts of={entry} />}
        </>
      )}
    />
  );
}
