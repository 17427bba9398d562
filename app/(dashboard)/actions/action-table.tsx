import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Action } from '@/lib/operate/rows/actions.ts';
import { actionTitle, STATE_TONES, stateWords } from './action-words.ts';

interface ActionTableProps {
  actions: Action[];
  next: string | null;
  isFirst: boolean;
}

const columns: Column<Action>[] = [
  {
    head: 'action',
    isRowHead: true,
    cell: (action) => (
      <Link href={`/actions/${action.id}`} prefetch={false} className={`font-medium ${LINK}`}>
        {actionTitle(action)}
      </Link>
    ),
  },
  {
    head: 'queue',
    cell: ({ queue }) => (
      <Link href={queueHref(queue)} prefetch={false} className={LINK}>
        {queue}
      </Link>
    ),
  },
  { head: 'state', cell: (action) => <ActionState action={action} /> },
  { head: 'changed', isNumber: true, cell: ({ written }) => written.toLocaleString('en-US') },
  { head: 'skipped', isNumber: true, cell: ({ skipped }) => skipped.toLocaleString('en-US') },
  { head: 'by', cell: ({ by }) => <span className="wrap-anywhere">{by}</span> },
  {
    head: 'note',
    cell: ({ note }) => <span className="line-clamp-2 text-muted wrap-anywhere">{note ?? '–'}</span>,
  },
  { head: 'when', cell: ({ created_at }) => <RelativeTime at={created_at} /> },
];

/** Draws the actions of people on rows. */
export function ActionTable({ actions, next, isFirst }: ActionTableProps) {
  return (
    <Section id="actions" heading="Changes of rows">
      <div>
        {actions.length === 0 ? (
          <p className="text-muted">
            Nobody has changed rows yet. Choose rows on the page “Rows” of a queue to retry, cancel or move
            them.
          </p>
        ) : (
          <Table label="Actions" items={actions} columns={columns} keyOf={({ id }) => id} />
        )}
        <PageLinks first={isFirst ? null : '/actions'} next={next && `/actions?cursor=${next}`} />
      </div>
    </Section>
  );
}

export function ActionState({ action }: { action: Action }) {
  return (
    <span className={`rounded-full px-2 py-0.5 text-xs font-medium ${STATE_TONES[action.state]}`}>
      {stateWords(action)}
    </span>
  );
}
