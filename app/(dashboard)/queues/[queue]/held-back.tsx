import type { ReactNode } from 'react';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { plural } from '@/lib/stats/plural.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

/** Lists due rows that no tick claims: rows of accounts that must wait, and unreachable rows. */
export function HeldBack({ queue: { waiting, unreachable } }: { queue: QueueStats }) {
  if (waiting.length + unreachable.length === 0) return null;
  return (
    <div id="held" className="grid scroll-mt-20 gap-6 sm:grid-cols-2">
      {waiting.length > 0 && (
        <section>
          <h3 className="font-semibold">Due, but waiting</h3>
          <ul className="mt-2 divide-y divide-line border-y border-line">
            {waiting.map(({ reason, accounts, until }) => (
              <Line key={reason} reason={reason} amount={plural(accounts, 'account')}>
                {until && <RelativeTime at={until} />}
              </Line>
            ))}
          </ul>
        </section>
      )}
      {unreachable.length > 0 && (
        <section>
          <h3 className="font-semibold text-bad">Unreachable</h3>
          <ul className="mt-2 divide-y divide-line border-y border-line">
            {unreachable.map(({ reason, rows }) => (
              <Line key={reason} reason={reason} amount={plural(rows, 'row')} />
            ))}
          </ul>
          <p className="mt-2 text-muted">No tick claims these rows until you fix the cause.</p>
        </section>
      )}
    </div>
  );
}

function Line({ reason, amount, children }: { reason: string; amount: string; children?: ReactNode }) {
  return (
    <li className="flex items-baseline justify-between gap-4 py-2">
      <span className="min-w-0 wrap-anywhere">{reason}</span>
      <span className="shrink-0 text-right">
        {amount}
        {children && <span className="ml-3 text-muted">{children}</span>}
      </span>
    </li>
  );
}
