import { plural } from '@/lib/stats/plural.ts';
import { shortMs } from '@/lib/stats/short-duration.ts';
import { type DayFigures, dayName, type Outcome, type QueueDay } from './queue-days.ts';

const TONES: Record<Outcome, string> = {
  done: 'text-good',
  up: 'text-good',
  degraded: 'text-warn',
  unknown: 'text-warn',
  dead: 'text-bad',
  down: 'text-bad',
  cancelled: 'text-muted',
};

export function DayName({ day, partial }: Pick<QueueDay, 'day' | 'partial'>) {
  return (
    <span className="whitespace-nowrap">
      <time dateTime={day}>{dayName(day)}</time>
      {partial && <span className="ml-2 text-xs font-normal text-muted">so far</span>}
    </span>
  );
}

/** Draws outcomes by their general names, not in the queue's words, so that queues can be compared. */
export function OutcomeCounts({ of: { outcomes } }: { of: DayFigures }) {
  return (
    <span className="inline-flex flex-wrap gap-x-3">
      {outcomes.map(({ outcome, rows }) => (
        <span key={outcome} className={`whitespace-nowrap ${TONES[outcome]}`}>
          {rows.toLocaleString('en-US')} {outcome}
        </span>
      ))}
    </span>
  );
}

export function Percentiles({ of: { p50, p95 } }: { of: DayFigures }) {
  if (p50 === null) return <span className="text-muted">–</span>;
  return (
    <span className="whitespace-nowrap">
      {shortMs(p50 * 1_000)} / {shortMs((p95 ?? p50) * 1_000)}
    </span>
  );
}

/** Draws the outcomes of each account, folded at first. */
export function DayAccounts({ of: { accounts, queue, day } }: { of: QueueDay }) {
  const named = accounts.filter(({ others }) => !others).length;
  if (named === 0) return <span className="text-muted">–</span>;
  const count = `${plural(named, 'account')}${named < accounts.length ? ' and more' : ''}`;
  return (
    <details>
      <summary className="cursor-pointer whitespace-nowrap">{count}</summary>
      <table aria-label={`${queue} on ${dayName(day)} by account`} className="mt-1 w-full text-xs">
        <thead className="sr-only">
          <tr>
            <th scope="col">account</th>
            <th scope="col">rows</th>
            <th scope="col">p50 / p95</th>
          </tr>
        </thead>
        <tbody>
          {accounts.map((account) => (
            <tr key={account.key} className="align-baseline *:py-0.5">
              <th scope="row" className="text-left font-normal wrap-anywhere">
                {account.name}
              </th>
              <td className="pl-3">
                <OutcomeCounts of={account} />
              </td>
              <td className="pl-3 text-right">
                <Percentiles of={account} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
