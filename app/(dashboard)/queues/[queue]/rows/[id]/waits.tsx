import Link from 'next/link';
import { Fragment, type ReactNode } from 'react';
import { LINK, queueHref } from '@/components/link.ts';
import { RowLink } from '@/components/row-link.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Explanation } from '@/lib/store/explanation.ts';

/** Draws what holds a row, what runs it, and what checks found. Draws nothing without any. */
export function Waits({ row }: { row: Explanation }) {
  const { waits, ahead, tick, reconcile } = row;
  if (waits.length === 0 && !tick && !reconcile?.found) return null;
  return (
    <div>
      <h3 className="font-medium">{row.state === 'pending' ? 'Why it waits' : 'Details'}</h3>
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
            <Link href={queueHref(row.queue, `/ticks/${tick.id}`)} prefetch={false} className={LINK}>
              Its tick
            </Link>{' '}
            by {tick.scheduler} started <RelativeTime at={tick.started_at} />
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
      {Date.parse(at) <= Date.now() && 'ended '}
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
