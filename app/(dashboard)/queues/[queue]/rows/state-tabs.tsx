import Link from 'next/link';
import { CountText } from '@/components/count-text.tsx';
import { type Query, rowsHref } from '@/components/link.ts';
import { STATES, stateOf } from '@/components/state-badge.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

/** Draws the states as tabs with the number of all rows in each, in the queue’s words. A tab keeps the other parts of the filter. */
export function StateTabs({ queue: { name, words, states }, filter }: { queue: QueueStats; filter: Query }) {
  const shown = filter.status?.split(',').map((word) => stateOf(words, word));
  const tab =
    'inline-flex min-h-9 items-center gap-1.5 rounded-full border border-line px-3 hover:border-muted aria-[current=true]:border-accent aria-[current=true]:font-semibold';
  return (
    <nav aria-label="States">
      <ul className="flex flex-wrap gap-2">
        <li>
          <Link
            href={rowsHref(name, { ...filter, status: undefined, sort: undefined })}
            prefetch={false}
            aria-current={!shown}
            className={tab}
          >
            all
          </Link>
        </li>
        {STATES.map((state) => (
          <li key={state}>
            <Link
              href={rowsHref(name, { ...filter, status: words[state], decide: undefined, sort: undefined })}
              prefetch={false}
              aria-current={shown?.includes(state) ?? false}
              className={tab}
            >
              {words[state]}{' '}
              <span className="text-muted">
                <CountText of={states[state]} />
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
