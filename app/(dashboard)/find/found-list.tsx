import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import type { FoundRow } from '@/lib/store/story/row-story.ts';

const BY: Record<FoundRow['by'], string> = {
  id: 'its id',
  provider_id: 'the provider’s id',
  key: 'its idempotency key',
  address: 'its address',
};

/** Draws the rows that a search found, or what can be searched for. */
export function FoundList({ found }: { found: FoundRow[] }) {
  if (found.length === 0)
    return (
      <p className="max-w-prose text-muted">
        No row is found. You can search for the whole id of a row, a provider’s id of a message, an
        idempotency key, or the address that a message goes to: a telephone number, a recipient or a chat.
      </p>
    );
  const columns: Column<FoundRow>[] = [
    {
      head: 'row',
      isRowHead: true,
      cell: ({ queue, id }) => (
        <Link
          href={queueHref(queue, `/rows/${encodeURIComponent(id)}`)}
          prefetch={false}
          className={`font-medium ${LINK}`}
        >
          {queue} {id}
        </Link>
      ),
    },
    { head: 'state', cell: ({ status, state }) => status ?? state ?? '–' },
    { head: 'found by', cell: ({ by }) => BY[by] },
  ];
  return (
    <div>
      <Table label="Rows" items={found} columns={columns} keyOf={({ queue, id }) => `${queue} ${id}`} />
      {found.length >= 20 && <p className="mt-2 text-muted">There may be more: these are the first 20.</p>}
    </div>
  );
}
