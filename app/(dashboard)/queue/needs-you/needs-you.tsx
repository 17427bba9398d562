import { useRef, useState } from 'react';
import { useSWRConfig } from 'swr';
import { usePolling } from '@/components/api/use-polling.ts';
import { Command } from '@/components/command.tsx';
import { PageLinks, usePages } from '@/components/lists/pages.tsx';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { needsDecision } from './needs-decision.ts';
import { RefusedList } from './refused-list.tsx';
import { UnknownRow } from './unknown-row.tsx';

const PAGE_SIZE = 50;

interface NeedsYouProps {
  queue: QueueStats;
  /** The API's path of the queue's rows. */
  path: string;
  /** The scheme and host of this app. */
  address: string;
  signedIn: boolean;
}

/** Lists refused accounts and providers, and unknown rows: the evidence for each, and the buttons or the command that resolve it. */
export function NeedsYou({ queue, path, address, signedIn }: NeedsYouProps) {
  const { words } = queue;
  const { count } = queue.states.unknown;
  const pages = usePages(`${path}?status=${encodeURIComponent(words.unknown)}&limit=${PAGE_SIZE}`);
  const { data, error } = usePolling<{ rows: ListedRow[]; next: string | null }>(
    count > 0 ? pages.url : null,
  );
  const { mutate } = useSWRConfig();
  const [message, setMessage] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  const rows = count > 0 ? (data?.rows ?? []) : [];
  const first = rows[0];
  if (count === 0 && message === '' && queue.refused.length === 0) return null;

  function onResolved(text: string): void {
    setMessage(text);
    // The focused button disappears with its row.
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
          {message}
        </p>
      </div>
      <RefusedList refused={queue.refused} address={address} onEnded={signedIn ? onResolved : null} />
      {error && <p className="mt-1 text-warn">The rows could not be listed: {error.message}</p>}
      {rows.length > 0 && (
        <ul className="mt-2 divide-y divide-line border-y border-line">
          {rows.map((row) => (
            <UnknownRow
              key={row.id}
              queue={queue}
              row={row}
              path={path}
              onDecided={signedIn ? (id, status) => onResolved(`Row ${id} is ${status} now.`) : null}
            />
          ))}
        </ul>
      )}
      {count > 0 && <PageLinks pages={pages} next={data?.next} first="First" more="More" />}
      {first && !signedIn && (
        <>
          <p className="mt-3 text-muted">
            To decide on a row, post <Word>{words.done}</Word>, <Word>{words.pending}</Word> (retries it),{' '}
            <Word>{words.dead}</Word> or <Word>{words.cancelled}</Word>:
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
  const waiting = rows.filter(needsDecision).length;
  const clauses = [
    waiting > 0 && `${waiting} wait${waiting === 1 ? 's' : ''} for your decision`,
    waiting < rows.length &&
      `${rows.length - waiting} ${rows.length - waiting === 1 ? 'is' : 'are'} still being checked`,
    count > rows.length && `${rows.length} of ${count.toLocaleString('en-US')} are listed`,
  ];
  return clauses.filter(Boolean).join('; ');
}
