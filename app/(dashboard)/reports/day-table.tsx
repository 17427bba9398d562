import { type Column, Table } from '@/components/lists/table.tsx';
import { DayAccounts, DayName, OutcomeCounts, Percentiles } from './day-cells.tsx';
import type { QueueDay } from './queue-days.ts';

const columns: Column<QueueDay>[] = [
  { head: 'queue', isRowHead: true, cell: ({ queue }) => <span className="font-medium">{queue}</span> },
  { head: 'day', cell: ({ day, partial }) => <DayName day={day} partial={partial} /> },
  { head: 'outcomes', cell: (entry) => <OutcomeCounts of={entry} /> },
  {
    head: 'p50 / p95',
    meaning:
      'The median and the 95th percentile. Of rows that are done: from due to settled. Of monitors: how long checks took that found them up.',
    isNumber: true,
    cell: (entry) => <Percentiles of={entry} />,
  },
  { head: 'accounts', className: 'lg:w-[34%]', cell: (entry) => <DayAccounts of={entry} /> },
];

/** Draws a line for each day and queue, in order. */
export function DayTable({ days }: { days: QueueDay[] }) {
  return <Table label="Days" items={days} columns={columns} keyOf={({ key }) => key} />;
}
