import { Fragment, type ReactNode } from 'react';
import { RowLink } from '@/components/row-link';
import { RelativeTime } from '@/components/time/relative-time';
import { useServerNow } from '@/components/time/server-now';
import type { Explanation } from '@/lib/store/explanation';
import { explanationHeadline } from './explanation-headline';

/** The history's events, for people. */
const EVENTS: Record<string, string> = {
  retry: 'Failed, to be tried again',
  dead: 'Failed for good',
  unknown: 'Uncertain',
  swept: 'Left behind by a tick that died',
  expired: 'Expired',
  restored: 'Forgotten by a database that was put back',
  checked: 'Checked',
  left_out: 'Result left out',
  proved: 'Proved to have worked',
  absent: 'Proved not to have worked',
  receipt: 'The provider told',
  decided: 'Decided',
  late: 'Proof that came late',
  twice: 'Delivered twice',
  error: 'Could not be done',
};

export function ExplanationCard({ row }: { row: Explanation }) {
  const nowMs = useServerNow();
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
      <div>
        <p className="text-muted">
          Row <span className="font-mono text-ink">{row.id}</span> · {row.status} · {row.attempts} of{' '}
          {row.max_attempts} attempts made
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
      <h4 className="font-medium">{row.state === 'pending' ? 'What it waits for' : 'What is known'}</h4>
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
                its limit: <RelativeTime at={tick.deadline_at} />
              </>
            }
          >
            The tick by {tick.scheduler} began <RelativeTime at={tick.started_at} />
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
      {Date.parse(at) <= useServerNow() && 'over '}
      <RelativeTime at={at} />
    </>
  );
}

/** The ids of the first that go before it. */
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
      <h4 className="font-medium">What it has been through</h4>
      <ol className="mt-1.5 ml-1 border-l border-line-strong">
        {history.map(({ at, event, text }, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: only its end grows.
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
