import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import type { QueueSettings } from '@/lib/operate/queue-settings.ts';
import { partitionFields } from './setting-fields.ts';

type Partition = QueueSettings['partitions'][number];

/** Lists a queue's partitions with what each sets for itself. Draws nothing if it has only one. */
export function PartitionLinks({ queue, partitions }: { queue: string; partitions: Partition[] }) {
  if (partitions.every(({ name }) => name === 'main')) return null;
  const columns: Column<Partition>[] = [
    {
      head: 'partition',
      isRowHead: true,
      cell: ({ name }) => (
        <Link
          href={queueHref(queue, `/settings?partition=${encodeURIComponent(name)}`)}
          prefetch={false}
          className={`font-medium wrap-anywhere ${LINK}`}
        >
          {name}
        </Link>
      ),
    },
    { head: 'its own settings', cell: ({ settings }) => ownInWords(settings) || 'none' },
    {
      head: 'state',
      cell: ({ paused_at, paused_reason }) =>
        paused_at === null ? (
          <span className="text-muted">runs</span>
        ) : (
          <span className="text-warn">paused{paused_reason && `: ${paused_reason}`}</span>
        ),
    },
  ];
  return (
    <Section id="partitions" heading="Partitions">
      <div>
        <Table label="Partitions" items={partitions} columns={columns} keyOf={({ name }) => name} />
      </div>
    </Section>
  );
}

/** Says the settings that are not the queue's. */
function ownInWords(settings: Record<string, unknown>): string {
  return partitionFields
    .filter(({ name }) => settings[name] !== null && settings[name] !== undefined)
    .map(({ name, label }) => `${label.toLowerCase()} ${yesNo(settings[name])}`)
    .join(', ');
}

const yesNo = (value: unknown) => (typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value));
