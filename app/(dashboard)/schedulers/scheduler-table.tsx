import { type Column, ResponsiveTable } from '@/components/lists/responsive-table.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { SchedulerName, SlotCounts, SlotExceptions } from './scheduler-cells.tsx';

const columns: Column<ScheduleCoverage>[] = [
  {
    head: 'endpoint',
    isRowHead: true,
    cellClass: 'w-[30%]',
    cell: (scheduler) => <SchedulerName of={scheduler} />,
  },
  {
    head: 'queue',
    className: 'pl-4',
    cell: ({ queues }) =>
      queues.map((queue) => (
        <div key={queue} className="whitespace-nowrap">
          {queue}
        </div>
      )),
  },
  {
    head: 'last slot',
    className: 'pl-4',
    cellClass: 'whitespace-nowrap',
    cell: ({ lastSlot }) => <RelativeTime at={lastSlot} />,
  },
  { head: 'slots, last 24 h', className: 'pl-6', cell: (scheduler) => <SlotCounts of={scheduler} /> },
  {
    head: 'exceptions',
    className: 'pl-6',
    cellClass: 'w-[25%]',
    cell: (scheduler) => <SlotExceptions of={scheduler} />,
  },
];

export function SchedulerTable({ schedulers }: { schedulers: ScheduleCoverage[] }) {
  return (
    <ResponsiveTable
      items={schedulers}
      columns={columns}
      keyOf={({ scheduler, path, schedule }) => `${scheduler} ${path} ${schedule}`}
      rowClass={() => '*:border-t *:border-line *:py-2 first:*:border-t-0'}
      listClass="divide-y divide-line"
      cardClass={() => 'gap-1 py-2.5 first:pt-0'}
      card={(scheduler) => (
        <>
          <SchedulerName of={scheduler} />
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <SlotCounts of={scheduler} />
            <span className="text-muted">
              last slot <RelativeTime at={scheduler.lastSlot} />
            </span>
          </p>
          {scheduler.exceptions.length > 0 && <SlotExceptions of={scheduler} />}
        </>
      )}
    />
  );
}
