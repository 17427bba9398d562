import { Fragment, type ReactNode } from 'react';
import { RowLink } from '@/components/row-link.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { Explanation } from '@/lib/store/explanation.ts';
import { explanationHeadline } from './explanation-headline.ts';

/** The events of a row's history, in words. */
const EVENTS: Record<string, string> = {
  retry: 'Failed, will be retried',
  dead: 'Failed for good',
  unknown: 'Unknown',
  swept: 'Swept after its tick died',
  expired: 'Expired',
  restored: 'Marked unknown after a restore of the database',
  checked: 'Checked',
  left_out: 'Settled without its result',
  proved: 'Proof that it worked',
  absent: 'Proof that it did not work',
  receipt: 'Receipt from the provider',
  decided: 'Decided by an operator',
  late: 'Late proof',
  twice: 'Delivered twice',
  error: 'Error',
};

/** Draws why a row is in its state: a headline, its waits and checks, and its history. */
export function ExplanationCard({ row }: { row: Explanation }) {
  const nowMs = useServerNow();
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
      <div>
        <p className="text-muted">
          Row <span className="font-mono text-ink">{row.id}</span> · {row.status} · {row.attempts} of{' '}
          {row.max_attempts} attempts
          {row.due_at && (
            <>
              {' '}
              · due <RelativeTime at={row.due_at} />
            </>
          )}
        </p>
        <p className="mt-1 text-base font-semibold wrap-anywhere">{explanationHeadline(row, nowMs)}</p>
      </div>
      <Waits row={row} />
      <History row={row} />
    </div>
  );
}

function Waits({ row }: { row: Explanation }) {
  const { waits, ahead, tick, reconcile } = row;
  if (waits.length === 0 && !tick && !reconcile?.found) return null;
  return (
    <div>
      <h4 className="font-medium">{row.state === 'pending' ? 'Why it waits' : 'Details'}</h4>
      <ul className="mt-1 divide-y divide-line border-y border-line">
        {waits.map(({ kind, until, text }) => (
          <Line key={`${kind} ${text}`} end={until && <Until at={until} />}>
            <span className="inline-block first-letter:uppercase">{text}</span>
            {kind === 'behind' && ahead && <Ahead queue={row.queue} ahead={ahead} />}
          </Line>
        ))}
        {tick && (
          <Line
            end={
              <>
                limit <RelativeTime at={tick.deadline_at} />
              </>
            }
          >
            Its tick by {tick.scheduler} started <RelativeTime at={tick.started_at} />
          </Line>
        )}
        {reconcile?.found && <Line>Found: {reconcile.found}</Line>}
        {reconcile && reconcile.checks > 0 && reconcile.checked_at && (
          <Line end={<RelativeTime at={reconcile.checked_at} />}>
            Checked {reconcile.checks === 1 ? 'once' : `${reconcile.checks} times, the last time`}
          </Line>
        )}
      </ul>
    </div>
  );
}

function Line({ children, end }: { children: ReactNode; end?: ReactNode }) {
  return (
    <li className="flex items-baseline justify-between gap-4 py-1.5">
      <span className="min-w-0 wrap-anywhere">{children}</span>
      {end && <span className="shrink-0 text-right text-muted">{end}</span>}
    </li>
  );
}

function Until({ at }: { at: string }) {
  return (
    <>
      {Date.parse(at) <= useServerNow() && 'ended '}
      <RelativeTime at={at} />
    </>
  );
}

/** Draws the ids of the first rows ahead of it. */
function Ahead({ queue, ahead }: { queue: string; ahead: NonNullable<Explanation['ahead']> }) {
  return (
    <>
      :{' '}
      {ahead.ids.map((id, n) => (
        <Fragment key={id}>
          {n > 0 && ', '}
          <RowLink queue={queue} id={id} />
        </Fragment>
      ))}
      {ahead.count > ahead.ids.length && ', …'}
    </>
  );
}

function History({ row: { history } }: { row: Explanation }) {
  if (history.length === 0) return null;
  return (
    <div>
      <h4 className="font-medium">History</h4>
      <ol className="mt-1.5 ml-1 border-l border-line-strong">
        {history.map(({ at, event, text }, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: entries are only appended.
          <li key={n} className="relative pb-2.5 pl-4 last:pb-0">
            <span
              aria-hidden="true"
              className="absolute top-1.5 -left-[4.5px] size-2 rounded-full bg-muted ring-2 ring-surface"
            />
            <p className="flex flex-wrap items-baseline gap-x-3">
              <span className="font-medium">{EVENTS[event] ?? event}</span>
              <span className="text-muted">
                <RelativeTime at={at} />
              </span>
            </p>
            {text && <p className="wrap-anywhere">{text}</p>}
          </li>
        ))}
      </ol>
    </div>
  );
}
