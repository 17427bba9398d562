import Link from 'next/link';
import { LINK, queueHref, rowsHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { AccountWithPace } from '@/lib/operate/account-pace.ts';
import { UsedBar } from '../used-bar.tsx';

type Pace = AccountWithPace['pace'][number];

interface PaceTableProps {
  account: AccountWithPace;
  /** The word for a pending row of each queue. */
  pending: ReadonlyMap<string, string>;
}

/** Draws what an account may still send today in each queue, and when. */
export function PaceTable({ account, pending }: PaceTableProps) {
  if (account.pace.length === 0)
    return <p className="text-muted">No queue has had a row of this account yet.</p>;
  const columns: Column<Pace>[] = [
    {
      head: 'queue',
      isRowHead: true,
      cell: ({ queue }) => (
        <>
          <Link href={queueHref(queue)} prefetch={false} className={`font-semibold ${LINK}`}>
            {queue}
          </Link>
          {account.queues[queue] && <span className="block text-xs text-muted">has limits of its own</span>}
        </>
      ),
    },
    { head: 'today', cell: (pace) => <UsedBar of={pace} /> },
    { head: 'next may go', cell: ({ next_send_at: at }) => (at ? <ClockTime at={at} /> : '–') },
    {
      head: 'waits for',
      cell: ({ waits }) =>
        waits.length === 0 ? (
          <span className="text-muted">nothing</span>
        ) : (
          <span className="wrap-anywhere">{waits.map(({ text }) => text).join('; ')}</span>
        ),
    },
    {
      head: 'due',
      isNumber: true,
      cell: ({ queue, due }) =>
        due === 0 ? (
          <span className="text-muted">0</span>
        ) : (
          <Link
            href={rowsHref(queue, { account: account.id, status: pending.get(queue) ?? 'pending' })}
            prefetch={false}
            className={LINK}
          >
            {due >= 1_000 ? '999+' : due}
            <span className="sr-only"> rows of {queue}</span>
          </Link>
        ),
    },
  ];
  return (
    <div>
      <Table label="Pace" items={account.pace} columns={columns} keyOf={({ queue }) => queue} />
    </div>
  );
}
