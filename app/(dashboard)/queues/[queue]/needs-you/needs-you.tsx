import { Command } from '@/components/command.tsx';
import { queueHref } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { Section } from '@/components/section.tsx';
import type { Page } from '@/lib/http/page.ts';
import { plural } from '@/lib/stats/plural.ts';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { Part } from '../../../shell/part.tsx';
import { needsDecision } from './needs-decision.ts';
import { RefusedList } from './refused-list.tsx';
import { UnknownRow } from './unknown-row.tsx';

interface NeedsYouProps {
  queue: QueueStats;
  /** The scheme and host of this app. */
  address: string;
  mayAct: boolean;
  /** Reads the unknown rows that wait for a person. */
  readWaiting: () => Promise<Page<ListedRow>>;
}

/** Lists what only a person can resolve: refused accounts and providers, and unknown rows that no check will resolve. */
export function NeedsYou({ queue, address, mayAct, readWaiting }: NeedsYouProps) {
  const { name, undecided, refused } = queue;
  if (undecided.rows + refused.length === 0) return null;
  return (
    <Section
      id="needs-you"
      heading="Needs you"
      aside={
        undecided.rows > 0 && (
          <p className="text-muted">
            {undecided.rows} wait{undecided.rows === 1 ? 's' : ''} for your decision
          </p>
        )
      }
    >
      <RefusedList refused={refused} address={address} mayAct={mayAct} />
      {undecided.rows > 0 && (
        <Part read={readWaiting} height="h-40">
          {({ items: waiting, next }) => {
            return (
              <div>
                <UnknownRows queue={queue} rows={waiting} mayAct={mayAct} />
                <PageLinks
                  first={null}
                  next={next && queueHref(name, `?cursor=${next}#needs-you`)}
                  labels={{ first: 'First', next: 'More' }}
                />
                {waiting[0] && !mayAct && <HowToDecide queue={queue} id={waiting[0].id} address={address} />}
              </div>
            );
          }}
        </Part>
      )}
    </Section>
  );
}

/** Lists unknown rows that checks may still resolve, folded at first. */
export function BeingChecked({
  queue,
  mayAct,
  readUnknown,
}: Omit<NeedsYouProps, 'address' | 'readWaiting'> & { readUnknown: () => Promise<Page<ListedRow>> }) {
  const count = queue.states.unknown.count - queue.undecided.rows;
  if (count <= 0) return null;
  return (
    <details className="rounded-xl border border-line bg-surface px-4 py-3 sm:px-5">
      <summary className="cursor-pointer">
        {plural(count, 'row')} {count === 1 ? 'is' : 'are'} {queue.words.unknown} and still being checked.
        Nothing to do.
      </summary>
      <div className="mt-3">
        <Part read={readUnknown} height="h-40">
          {({ items }) => (
            <UnknownRows queue={queue} rows={items.filter((row) => !needsDecision(row))} mayAct={mayAct} />
          )}
        </Part>
      </div>
    </details>
  );
}

function UnknownRows({ queue, rows, mayAct }: { queue: QueueStats; rows: ListedRow[]; mayAct: boolean }) {
  return (
    <ul className="divide-y divide-line">
      {rows.map((row) => (
        <UnknownRow
          key={row.id}
          queue={queue}
          row={row}
          path={`/api/queues/${queue.name}/rows`}
          mayAct={mayAct}
        />
      ))}
    </ul>
  );
}

function HowToDecide({
  queue: { name, words },
  id,
  address,
}: {
  queue: QueueStats;
  id: string;
  address: string;
}) {
  return (
    <>
      <p className="mt-3 text-muted">
        To decide on a row, post <Word>{words.done}</Word>, <Word>{words.pending}</Word> (retries it),{' '}
        <Word>{words.dead}</Word> or <Word>{words.cancelled}</Word>:
      </p>
      <div className="mt-2">
        <Command>{`curl -X POST ${address}/api/queues/${name}/rows/${id}/resolve -H "Authorization: Bearer $API_KEY" -H 'Content-Type: application/json' -d '${JSON.stringify({ decision: words.done })}'`}</Command>
      </div>
    </>
  );
}

function Word({ children }: { children: string }) {
  return <code className="font-mono text-ink">{children}</code>;
}
