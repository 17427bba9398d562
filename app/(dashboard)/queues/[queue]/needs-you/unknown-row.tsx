import { RowLink } from '@/components/row-link.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { DecisionButtons } from './decision-buttons.tsx';
import { needsDecision } from './needs-decision.ts';
import { rowSummary } from './row-summary.ts';

interface UnknownRowProps {
  queue: QueueStats;
  row: ListedRow;
  path: string;
  mayAct: boolean;
}

/** Draws an unknown row: its content, the evidence, the next check, and the buttons that resolve it. */
export function UnknownRow({ queue, row, path, mayAct }: UnknownRowProps) {
  const { pending, done, dead } = queue.words;
  const { from, to, text } = rowSummary(row);
  return (
    <li className="grid grid-cols-[minmax(0,1fr)] gap-x-6 gap-y-3 py-3 lg:grid-cols-[minmax(0,1fr)_auto]">
      <div className="grid grid-cols-[minmax(0,1fr)] gap-1">
        <p className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5">
          <RowLink queue={queue.name} id={row.id} />
          {(from ?? to) !== null && (
            <span className="wrap-anywhere">
              {from && <span className="font-medium">{from}</span>}
              {from && to && (
                <>
                  {' '}
                  <span aria-hidden="true">→</span>
                  <span className="sr-only">to</span>{' '}
                </>
              )}
              {to && <span className={from ? '' : 'font-medium'}>{to}</span>}
            </span>
          )}
          {row.finished_at && (
            <span className="text-muted">
              {queue.words.unknown} for <RelativeTime at={row.finished_at} as="age" />
            </span>
          )}
        </p>
        {text && <p className="line-clamp-3 wrap-anywhere whitespace-pre-line text-muted">{text}</p>}
        <p className="wrap-anywhere first-letter:uppercase">
          {row.reconcile?.found ?? row.last_error ?? 'No evidence yet.'}
        </p>
        <NextCheck row={row} />
      </div>
      {mayAct && (
        <DecisionButtons id={row.id} attempt={row.attempts} words={{ pending, done, dead }} path={path} />
      )}
    </li>
  );
}

function NextCheck({ row }: { row: ListedRow }) {
  const { checks = 0, checked_at, next_check_at } = row.reconcile ?? {};
  const waits = needsDecision(row);
  return (
    <p className="flex flex-wrap gap-x-2 text-muted">
      {waits && <span className="font-medium text-warn">It waits for your decision.</span>}
      {next_check_at && (!waits || checked_at) && (
        <span className={waits ? '' : 'text-busy'}>
          Next check{' '}
          {Date.parse(next_check_at) > Date.now() ? (
            <RelativeTime at={next_check_at} />
          ) : (
            'with the next tick'
          )}
          .
        </span>
      )}
      {checked_at && (
        <span>
          Checked {checks === 1 ? 'once' : `${checks} times`}, last <RelativeTime at={checked_at} />.
        </span>
      )}
    </p>
  );
}
