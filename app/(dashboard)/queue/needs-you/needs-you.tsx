import { useRef, useState } from 'react';
import { useSWRConfig } from 'swr';
import { useReading } from '@/components/api/use-reading';
import { Command } from '@/components/command';
import { PageLinks, usePages } from '@/components/lists/pages';
import type { ListedRow } from '@/lib/store/listed-row';
import type { QueueStats } from '@/lib/store/stats';
import { RefusedList } from './refused-list';
import { UnknownRow } from './unknown-row';
import { waitsForPerson } from './waits-for-person';

const LIMIT = 50;

interface NeedsYouProps {
  queue: QueueStats;
  /** Of the route that tells of its rows. */
  path: string;
  /** Scheme and host of this app. */
  address: string;
  signedIn: boolean;
}

/** What providers refuse, and rows of which nobody can say whether they were done: what is known of each, and what a person can do. */
export function NeedsYou({ queue, path, address, signedIn }: NeedsYouProps) {
  const { words } = queue;
  const { count } = queue.states.unknown;
  const pages = usePages(`${path}?status=${encodeURIComponent(words.unknown)}&limit=${LIMIT}`);
  const { data, error } = useReading<{ rows: ListedRow[]; next: string | null }>(
    count > 0 ? pages.url : null,
  );
  const { mutate } = useSWRConfig();
  const [decided, setDecided] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  const rows = count > 0 ? (data?.rows ?? []) : [];
  const first = rows[0];
  if (count === 0 && decided === '' && queue.refused.length === 0) return null;

  function onActed(what: string): void {
    setDecided(what);
    // The button that had the focus goes with its row.
    heading.current?.focus();
    void mutate(() => true);
  }

  const headingId = `needs-you-${queue.name}`;
  return (
    <section aria-labelledby={headingId}>
      <div className="flex flex-wrap items-baseline gap-x-3 gap-y-1">
        <h3 id={headingId} ref={heading} tabIndex={-1} className="scroll-mt-4 font-semibold">
          Needs you
        </h3>
        {rows.length > 0 && <p className="text-muted">{summary(rows, count)}</p>}
        <p role="status" className="text-good">
          {decided}
        </p>
      </div>
      <RefusedList refused={queue.refused} address={address} onEnded={signedIn ? onActed : null} />
      {error && <p className="mt-1 text-warn">The rows cannot be listed: {error.message}</p>}
      {rows.length > 0 && (
        <ul className="mt-2 divide-y divide-line border-y border-line">
          {rows.map((row) => (
            <UnknownRow
              key={row.id}
              queue={queue}
              row={row}
              path={path}
              onDecided={signedIn ? (id, status) => onActed(`Row ${id} is ${status} now.`) : null}
            />
          ))}
        </ul>
      )}
      {count > 0 && <PageLinks pages={pages} next={data?.next} first="First" more="More" />}
      {first && !signedIn && (
        <>
          <p className="mt-3 text-muted">
            To decide on one: <Word>{words.done}</Word>, <Word>{words.pending}</Word> (it is tried again),{' '}
            <Word>{words.dead}</Word> or <Word>{words.cancelled}</Word>.
          </p>
          <div className="mt-2">
            <Command>{`curl -X POST ${address}${path}/${first.id}/resolve -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '${JSON.stringify({ decision: words.done })}'`}</Command>
          </div>
        </>
      )}
    </section>
  );
}

function Word({ children }: { children: string }) {
  return <code className="font-mono text-ink">{children}</code>;
}

function summary(rows: ListedRow[], count: number): string {
  const waiting = rows.filter(waitsForPerson).length;
  const parts = [
    waiting > 0 && `${waiting} wait${waiting === 1 ? 's' : ''} for your decision`,
    waiting < rows.length &&
      `${rows.length - waiting} ${rows.length - waiting === 1 ? 'is' : 'are'} still checked`,
    count > rows.length && `${rows.length} of ${count.toLocaleString('en-US')} are listed here`,
  ];
  return parts.filter(Boolean).join('; ');
}
