import { type Column, Table } from '@/components/lists/table.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

type Partition = QueueStats['partitions'][number];

/** Draws a line for each named partition, the most due rows first. Draws nothing without any. */
export function PartitionTable({ partitions, now }: { partitions: Partition[]; now: string }) {
  if (partitions.length === 0) return null;
  const columns: Column<Partition>[] = [
    {
      head: 'partition',
      isRowHead: true,
      cell: ({ name, max_running }) => (
        <>
          <span className="font-medium wrap-anywhere">{name}</span>
          {max_running !== null && (
            <span className="ml-2 text-xs text-muted">
              {max_running === 1 ? 'one' : max_running} at a time
            </span>
          )}
        </>
      ),
    },
    { head: 'due', isNumber: true, cell: ({ due }) => (due >= 1_000 ? '999+' : due) },
    {
      head: 'oldest',
      cell: ({ oldest_due_seconds: seconds }) =>
        seconds === null ? (
          <span className="text-muted">–</span>
        ) : (
          <RelativeTime at={new Date(Date.parse(now) - seconds * 1_000).toISOString()} as="age" />
        ),
    },
    {
      head: 'last tick',
      cell: ({ last_tick_at: at }) =>
        at ? <RelativeTime at={at} /> : <span className="text-muted">never</span>,
    },
    { head: 'held by', cell: (partition) => <Held by={partition} /> },
  ];
  return (
    <section aria-labelledby="partitions">
      <h3 id="partitions" className="mb-3 scroll-mt-20 font-semibold">
        Partitions
      </h3>
      <Table
        label="Partitions"
        items={[...partitions].sort((a, b) => b.due - a.due)}
        columns={columns}
        keyOf={({ name }) => name}
      />
    </section>
  );
}

function Held({ by: { paused_at, paused_reason, waiting, due } }: { by: Partition }) {
  if (paused_at !== null)
    return (
      <span className="text-warn wrap-anywhere">
        paused <RelativeTime at={paused_at} />
        {paused_reason && `: ${paused_reason}`}
      </span>
    );
  if (waiting !== null && due > 0) return <span className="text-busy wrap-anywhere">{waiting}</span>;
  return <span className="text-muted">nothing</span>;
}
