import { CountText } from '@/components/count-text.tsx';
import { type Column, ResponsiveTable } from '@/components/lists/responsive-table.tsx';
import { LastTick, LineName, OldestDue, SettledCounts, Troubles } from './overview-cells.tsx';
import type { OverviewLine } from './overview-lines.ts';

const columns: Column<OverviewLine>[] = [
  {
    head: 'queue',
    isRowHead: true,
    cellClass: ({ partOf }) => `w-[17%] ${partOf === null ? '' : 'pl-4'}`,
    cell: (line) => <LineName line={line} />,
  },
  {
    head: 'due now',
    className: 'pl-4 text-right',
    cellClass: ({ due }) => (due.count > 0 ? 'font-semibold' : 'text-muted'),
    cell: ({ due }) => <CountText of={due} />,
  },
  {
    head: 'oldest',
    className: 'pl-4',
    cellClass: 'whitespace-nowrap',
    cell: (line) => <OldestDue line={line} />,
  },
  {
    head: 'running',
    className: 'pl-4 text-right',
    cellClass: ({ running }) => (running?.count ? 'text-busy' : 'text-muted'),
    cell: ({ running }) => running && <CountText of={running} />,
  },
  { head: 'last hour', className: 'pl-6', cell: (line) => <SettledCounts line={line} /> },
  {
    head: 'last tick',
    className: 'pl-4',
    cellClass: 'whitespace-nowrap',
    cell: (line) => <LastTick line={line} />,
  },
  {
    head: 'what is wrong',
    className: 'pl-4',
    cellClass: 'w-[25%]',
    cell: (line) => <Troubles line={line} />,
  },
];

export function OverviewTable({ lines }: { lines: OverviewLine[] }) {
  return (
    <ResponsiveTable
      items={lines}
      columns={columns}
      keyOf={({ key }) => key}
      margin="mt-2"
      rowClass={({ partOf }) =>
        partOf === null ? '*:border-t *:border-line *:py-2.5 first:*:border-t-0' : '*:pb-2.5'
      }
      cardClass={({ partOf }) =>
        `gap-1 ${partOf === null ? 'border-t border-line py-3' : 'ml-1 border-l border-line-strong py-1.5 pl-3'}`
      }
      card={(line) => <OverviewCard line={line} />}
    />
  );
}

function OverviewCard({ line }: { line: OverviewLine }) {
  const { due, oldestDueAtMs, running, settled, troubles } = line;
  return (
    <>
      <div className="flex flex-wrap items-baseline justify-between gap-x-3 gap-y-1">
        <LineName line={line} />
        <LastTick line={line} />
      </div>
      <p className="flex flex-wrap gap-x-3 gap-y-0.5">
        <span>
          <span className={due.count > 0 ? 'font-semibold' : 'text-muted'}>
            <CountText of={due} /> due
          </span>
          {oldestDueAtMs !== null && (
            <span className="text-muted">
              , oldest <OldestDue line={line} />
            </span>
          )}
        </span>
        {running && running.count > 0 && (
          <span className="text-busy">
            <CountText of={running} /> running
          </span>
        )}
      </p>
      {settled && settled.length > 0 && (
        <div>
          <span className="sr-only">In the last hour: </span>
          <SettledCounts line={line} />
        </div>
      )}
      {troubles.length > 0 && <Troubles line={line} />}
    </>
  );
}
