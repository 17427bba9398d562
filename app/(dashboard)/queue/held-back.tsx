import type { ReactNode } from 'react';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { partitionTroubles } from '@/components/troubles.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

/** Lists due rows that no tick claims: rows of accounts that must wait, rows of paused or blocked partitions, and unreachable rows. */
export function HeldBack({ queue: { waiting, unreachable, partitions } }: { queue: QueueStats }) {
  const held = partitions.flatMap((partition) =>
    partitionTroubles(partition).map(({ text }) => ({ ...partition, text })),
  );
  if (waiting.length + unreachable.length + held.length === 0) return null;
  return (
    <div className="grid gap-8 sm:grid-cols-2">
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
      {held.length > 0 && (
        <section>
          <h3 className="font-semibold">Paused or blocked</h3>
          <ul className="mt-2 divide-y divide-line border-y border-line">
            {held.map(({ name, due, text }) => (
              <Line
                key={`${name} ${text}`}
                reason={`${name} is ${text}`}
                amount={`${plural(due, 'row')} due`}
              />
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

function plural(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}
