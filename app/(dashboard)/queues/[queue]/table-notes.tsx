import { Notice } from '@/components/notice.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

/** Says what `add_queue` changed in a table of your own and found there, and whether the public key reaches it. */
export function TableNotes({ setup }: { setup: NonNullable<QueueStats['setup']> }) {
  const { table, added, changes, notes, row_level_security, anon } = setup;
  return (
    <div className="grid gap-3">
      {!row_level_security && anon.length > 0 && (
        <Notice tone="warn" heading={`The public key gives access to ${table}`}>
          Anyone with the project’s public (anon) key may {anon.join(', ')} there. To close the table, run{' '}
          <code className="font-mono text-[0.8125rem]">alter table {table} enable row level security</code>.
        </Notice>
      )}
      <details className="text-muted">
        <summary className="cursor-pointer hover:text-ink">Changes by add_queue to {table}</summary>
        <ul className="mt-2 ml-4 grid list-disc gap-1 wrap-anywhere">
          {added.length > 0 && <li>columns added: {added.join(', ')}</li>}
          {[...changes, ...notes].map((note) => (
            <li key={note}>{note}</li>
          ))}
          {added.length + changes.length + notes.length === 0 && <li>none: the table had all columns</li>}
        </ul>
      </details>
    </div>
  );
}
