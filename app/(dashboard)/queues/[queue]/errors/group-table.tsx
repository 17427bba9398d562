import Link from 'next/link';
import { errorHref, LINK, rowsHref } from '@/components/link.ts';
import { type Column, Meanings, Table } from '@/components/lists/table.tsx';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import type { ErrorGroup } from '@/lib/store/story/error-group.ts';
import { deadRows, kindInWords, STATE_MEANINGS } from './error-words.ts';
import { GroupState } from './group-state.tsx';
import { HourBars } from './hour-bars.tsx';

/** Draws a line for each error group: what failed, how often, and whether it is new. */
export function GroupTable({ queue, groups }: { queue: QueueStats; groups: ErrorGroup[] }) {
  const { name, words } = queue;
  if (groups.length === 0)
    return (
      <p className="text-muted">
        No attempt of {name} has failed with an error, as far back as its history goes.
      </p>
    );
  const columns: Column<ErrorGroup>[] = [
    {
      head: 'error',
      isRowHead: true,
      className: 'lg:w-[38%]',
      cell: (group) => (
        <>
          <Link
            href={errorHref(name, group.id)}
            prefetch={false}
            className={`line-clamp-2 font-medium wrap-anywhere ${LINK}`}
          >
            {group.example ?? group.text}
          </Link>
          <span className="mt-1 flex flex-wrap items-center gap-2 text-xs text-muted">
            <GroupState state={group.state} />
            <span>
              {kindInWords(group.kind, queue).short}
              {group.code && ` · ${group.code}`}
            </span>
          </span>
        </>
      ),
    },
    {
      head: `${words.dead} now`,
      isNumber: true,
      cell: (group) =>
        group.rows_dead === 0 ? (
          <span className="text-muted">0</span>
        ) : (
          <Link
            href={rowsHref(name, { error: group.id, status: words.dead })}
            prefetch={false}
            className="font-semibold text-bad underline underline-offset-4"
          >
            {deadRows(group)}
            <span className="sr-only"> rows with this error</span>
          </Link>
        ),
    },
    { head: 'accounts', isNumber: true, cell: ({ accounts }) => accounts ?? '–' },
    { head: 'last 24 h', cell: ({ hours }) => <HourBars hours={hours} className="h-6 w-28" /> },
    { head: 'first seen', cell: ({ first_at }) => <ClockTime at={first_at} /> },
    { head: 'last seen', cell: ({ last_at }) => <ClockTime at={last_at} /> },
  ];
  return (
    <div>
      <Table label="Error groups" items={groups} columns={columns} keyOf={({ id }) => id} />
      <Meanings
        label="What new, known and gone mean"
        of={Object.entries(STATE_MEANINGS).map(([word, meaning]) => ({ word, meaning }))}
      />
    </div>
  );
}
