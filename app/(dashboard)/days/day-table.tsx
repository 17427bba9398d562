import { type Column, ResponsiveTable } from '@/components/lists/responsive-table';
import type { DayLine } from './day-lines';
import { DayAccounts, DayName, OutcomeCounts, Percentiles } from './day-parts';

/** Days stand in order: each is named, and set apart, in its first line. */
export function DayTable({ lines }: { lines: DayLine[] }) {
  const isFirst = ({ day }: DayLine, index: number) => day !== lines[index - 1]?.day;
  const columns: Column<DayLine>[] = [
    {
      head: 'day',
      cellClass: 'w-[16%] font-medium',
      cell: (line, index) => (
        <span className={isFirst(line, index) ? '' : 'sr-only'}>
          <DayName day={line.day} partial={line.partial} />
        </span>
      ),
    },
    { head: 'queue', className: 'pl-4', isRowHead: true, cell: ({ queue }) => queue },
    { head: 'outcomes', className: 'pl-4', cell: (line) => <OutcomeCounts of={line} /> },
    {
      head: 'p50 / p95',
      title:
        'Of what was done: from due to settled. Of monitors: how long a check took that found it up. Half took less, and 95 of 100.',
      className: 'pl-4 text-right',
      cell: (line) => <Percentiles of={line} />,
    },
    {
      head: 'accounts',
      className: 'pl-8',
      cellClass: 'w-[34%]',
      cell: (line) => <DayAccounts line={line} />,
    },
  ];
  return (
    <ResponsiveTable
      items={lines}
      columns={columns}
      keyOf={({ key }) => key}
      rowClass={(line, index) =>
        `*:py-1.5 ${isFirst(line, index) ? '*:border-t *:border-line' : ''} ${index === 0 ? '*:border-t-0' : ''}`
      }
      listClass="divide-y divide-line"
      cardClass={() => 'gap-0.5 py-2.5 first:pt-0'}
      card={(line) => (
        <>
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <span className="font-medium">{line.queue}</span>
            <span className="text-muted">
              <DayName day={line.day} partial={line.partial} />
            </span>
          </p>
          <OutcomeCounts of={line} />
          {line.p50 !== null && (
            <p className="text-muted">
              p50 / p95 <Percentiles of={line} />
            </p>
          )}
          {line.accounts.length > 0 && <DayAccounts line={line} />}
        </>
      )}
    />
  );
}
