import { type Column, ResponsiveTable } from '@/components/lists/responsive-table.tsx';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { Latency } from './latency.tsx';
import { MonitorName, MonitorNotes, MonitorRegion, Uptime, Uptimes } from './monitor-cells.tsx';
import { MonitorState } from './monitor-state.tsx';

const uptime = (
  head: string,
  span: keyof MonitorSummary['uptime'],
  padding: string,
): Column<MonitorSummary> => ({
  head,
  className: `${padding} text-right`,
  cellClass: 'whitespace-nowrap',
  cell: (monitor) => <Uptime share={monitor.uptime[span]} />,
});

const columns: Column<MonitorSummary>[] = [
  {
    head: 'monitor',
    isRowHead: true,
    cellClass: 'w-[22%]',
    cell: (monitor) => <MonitorName monitor={monitor} />,
  },
  { head: 'state', className: 'pl-4', cell: (monitor) => <MonitorState monitor={monitor} /> },
  { head: 'what is wrong', className: 'pl-4', cell: (monitor) => <MonitorNotes monitor={monitor} /> },
  {
    head: 'region',
    title: 'the region that checks it now',
    className: 'pl-4',
    cellClass: 'whitespace-nowrap',
    cell: (monitor) => <MonitorRegion monitor={monitor} />,
  },
  { head: 'last check', className: 'pl-4 text-right', cell: ({ last }) => <Latency last={last} /> },
  { ...uptime('up 24 h', 'day', 'pl-4'), title: 'the share of its checks that did not find it down' },
  uptime('7 d', 'week', 'pl-3'),
  uptime('30 d', 'month', 'pl-3'),
];

/** Draws monitors that need attention, with what is wrong. */
export function MonitorTable({ monitors }: { monitors: MonitorSummary[] }) {
  return (
    <ResponsiveTable
      items={monitors}
      columns={columns}
      keyOf={({ id }) => id}
      from="lg"
      margin="mt-2"
      rowClass={() => '*:border-t *:border-line *:py-1.5 first:*:border-t-0'}
      listClass="divide-y divide-line border-t border-line"
      cardClass={() => 'gap-1 py-2.5'}
      card={(monitor) => (
        <>
          <div className="flex flex-wrap items-baseline justify-between gap-x-3 gap-y-1">
            <MonitorName monitor={monitor} />
            <span className="inline-flex items-baseline gap-2">
              <span className="text-muted">
                <MonitorRegion monitor={monitor} />
              </span>
              <MonitorState monitor={monitor} />
            </span>
          </div>
          <MonitorNotes monitor={monitor} />
          <div className="flex flex-wrap items-baseline justify-between gap-x-2 gap-y-1">
            <Uptimes monitor={monitor} />
            <Latency last={monitor.last} />
          </div>
        </>
      )}
    />
  );
}
