import { type Column, Table } from '@/components/lists/table.tsx';
import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { Latency } from './latency.tsx';
import { MonitorName, MonitorNotes, MonitorRegion, Uptime } from './monitor-cells.tsx';
import { MonitorState } from './monitor-state.tsx';

type MonitorColumn = Column<MonitorSummary> & {
  isTrouble?: boolean;
  /** Left out for healthy monitors on a narrow screen. */
  isMinor?: boolean;
};

const uptime = (head: string, span: keyof MonitorSummary['uptime'], meaning?: string): MonitorColumn => ({
  head,
  meaning,
  isNumber: true,
  isMinor: span !== 'day',
  cell: (monitor) => <Uptime share={monitor.uptime[span]} />,
});

const columns: MonitorColumn[] = [
  {
    head: 'monitor',
    isRowHead: true,
    className: 'lg:w-[27%]',
    cell: (monitor) => <MonitorName monitor={monitor} />,
  },
  { head: 'state', isTrouble: true, cell: (monitor) => <MonitorState monitor={monitor} /> },
  { head: 'what is wrong', isTrouble: true, cell: (monitor) => <MonitorNotes monitor={monitor} /> },
  {
    head: 'region',
    isMinor: true,
    meaning: 'The region that checks it now.',
    cell: (monitor) => <MonitorRegion monitor={monitor} />,
  },
  {
    head: 'last check',
    meaning: 'How long it took: a bar of its phases (dns, connect, tls, first byte, body) and the total.',
    cell: ({ last }) => <Latency last={last} />,
  },
  uptime('up 24 h', 'day', 'The share of its checks that did not find it down.'),
  uptime('7 d', 'week'),
  uptime('30 d', 'month'),
];

interface MonitorTableProps {
  label: string;
  monitors: MonitorSummary[];
  /** Leaves out the columns that say what is wrong. */
  isHealthy?: boolean;
}

/** Draws monitors, one a line. */
export function MonitorTable({ label, monitors, isHealthy = false }: MonitorTableProps) {
  const healthy = columns
    .filter(({ isTrouble }) => !isTrouble)
    .map((column) => (column.isMinor ? { ...column, className: 'max-md:hidden' } : column));
  const shown = isHealthy ? healthy : columns;
  return (
    <div>
      <Table label={label} items={monitors} columns={shown} keyOf={({ id }) => id} />
    </div>
  );
}
