import Link from 'next/link';
import { accountHref, LINK, rowsHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { AccountWithPace } from '@/lib/operate/account-pace.ts';
import { AccountState } from './account-state.tsx';
import { busyPace, nextSend } from './account-words.ts';
import { UsedBar } from './used-bar.tsx';

interface AccountTableProps {
  accounts: AccountWithPace[];
  /** The word for a pending row of each queue. */
  pending: ReadonlyMap<string, string>;
}

/** Draws a line for each account: whether it may send, what it has used today, and what waits for it. */
export function AccountTable({ accounts, pending }: AccountTableProps) {
  const columns: Column<AccountWithPace>[] = [
    {
      head: 'account',
      isRowHead: true,
      cell: ({ id, name, provider }) => (
        <>
          <Link href={accountHref(id)} prefetch={false} className={`font-semibold wrap-anywhere ${LINK}`}>
            {name}
          </Link>
          <span className="block text-xs text-muted">{provider}</span>
        </>
      ),
    },
    { head: 'state', className: 'lg:w-[24%]', cell: (account) => <AccountState account={account} /> },
    {
      head: 'today',
      cell: ({ pace }) => (
        <span className="grid gap-2 max-md:justify-items-end">
          {pace.length === 0 && <span className="text-muted">nothing yet</span>}
          {busyPace(pace).map((one) => (
            <span key={one.queue} className="grid gap-0.5">
              <span className="text-xs">{one.queue}</span>
              <UsedBar of={one} />
            </span>
          ))}
        </span>
      ),
    },
    {
      head: 'next may go',
      cell: ({ pace }) => {
        const at = nextSend(pace);
        return at === null ? <span className="text-muted">–</span> : <ClockTime at={at} />;
      },
    },
    { head: 'due', isNumber: true, cell: (account) => <Due account={account} pending={pending} /> },
  ];
  return <Table label="Accounts" items={accounts} columns={columns} keyOf={({ id }) => id} />;
}

function Due({
  account: { id, pace },
  pending,
}: {
  account: AccountWithPace;
  pending: AccountTableProps['pending'];
}) {
  const due = pace.filter(({ due }) => due > 0);
  if (due.length === 0) return <span className="text-muted">0</span>;
  return (
    <span className="grid gap-1 justify-items-end">
      {due.map(({ queue, due }) => (
        <Link
          key={queue}
          href={rowsHref(queue, { account: id, status: pending.get(queue) ?? 'pending' })}
          prefetch={false}
          className={LINK}
        >
          {due >= 1_000 ? '999+' : due}
          <span className="sr-only"> rows</span> {due > 0 && <span className="text-xs">{queue}</span>}
        </Link>
      ))}
    </span>
  );
}
