import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { RowStory } from '@/lib/store/story/row-story.ts';

type Receipt = RowStory['receipts'][number];

const columns: Column<Receipt>[] = [
  {
    head: 'received',
    isRowHead: true,
    cell: ({ received_at }) => <ClockTime at={received_at} seconds />,
  },
  { head: 'status', cell: ({ status }) => status },
  {
    head: 'message',
    cell: ({ message_id }) => <span className="font-mono text-xs wrap-anywhere">{message_id}</span>,
  },
  { head: 'error', cell: ({ error }) => <span className="wrap-anywhere">{error ?? '–'}</span> },
];

/** Draws what webhooks reported of a row. Draws nothing without any. */
export function Receipts({ receipts }: { receipts: Receipt[] }) {
  if (receipts.length === 0) return null;
  return (
    <Section id="receipts" heading="Receipts">
      <Table
        label="Receipts"
        items={receipts}
        columns={columns}
        keyOf={({ message_id, status, received_at }) => `${message_id} ${status} ${received_at}`}
      />
    </Section>
  );
}
