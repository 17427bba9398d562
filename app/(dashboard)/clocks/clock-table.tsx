import { type Column, ResponsiveTable } from '@/components/lists/responsive-table';
import { RelativeTime } from '@/components/time/relative-time';
import type { ClockAccount } from '@/lib/cron/slots/clocks';
import { ClockName, SlotCounts, SlotExceptions } from './clock-parts';

const columns: Column<ClockAccount>[] = [
  { head: 'calls', isRowHead: true, cellClass: 'w-[30%]', cell: (clock) => <ClockName of={clock} /> },
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
  { head: 'slots of 24 h', className: 'pl-6', cell: (clock) => <SlotCounts of={clock} /> },
  {
    head: 'exceptions',
    className: 'pl-6',
    cellClass: 'w-[25%]',
    cell: (clock) => <SlotExceptions of={clock} />,
  },
];

export function ClockTable({ clocks }: { clocks: ClockAccount[] }) {
  return (
    <ResponsiveTable
      items={clocks}
      columns={columns}
      keyOf={({ clock, path, schedule }) => `${clock} ${path} ${schedule}`}
      rowClass={() => '*:border-t *:border-line *:py-2 first:*:border-t-0'}
      listClass="divide-y divide-line"
      cardClass={() => 'gap-1 py-2.5 first:pt-0'}
      card={(clock) => (
        <>
          <ClockName of={clock} />
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <SlotCounts of={clock} />
            <span className="text-muted">
              last slot <RelativeTime at={clock.lastSlot} />
            </span>
          </p>
          {clock.exceptions.length > 0 && <SlotExceptions of={clock} />}
        </>
      )}
    />
  );
}
