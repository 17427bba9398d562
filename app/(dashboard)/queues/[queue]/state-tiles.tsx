import Link from 'next/link';
import { CountText } from '@/components/count-text.tsx';
import { rowsHref } from '@/components/link.ts';
import { Meanings } from '@/components/lists/table.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

type State = keyof QueueStats['states'];

const ORDER: State[] = ['pending', 'running', 'done', 'unknown', 'dead', 'cancelled'];
/** The states that may need a person. */
const ALARMING: Partial<Record<State, string>> = {
  unknown: 'border-warn-line bg-warn-tint text-warn',
  dead: 'border-bad-line bg-bad-tint text-bad',
};

/** Draws the number of rows in each of the six states, in the queue's words. Each links to its rows. */
export function StateTiles({ queue: { name, words, states } }: { queue: QueueStats }) {
  return (
    <div>
      <ul className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
        {ORDER.map((state) => {
          const alarming = states[state].count > 0 && ALARMING[state];
          return (
            <li key={state}>
              <Link
                href={rowsHref(name, { status: words[state] })}
                prefetch={false}
                className={`block rounded-lg border px-3.5 py-3 hover:border-muted ${alarming || 'border-line'}`}
              >
                <span className={`block ${alarming ? 'font-medium' : 'text-muted'}`}>{words[state]}</span>
                <span
                  className={`mt-1 block text-[1.375rem] leading-8 font-semibold tracking-tight ${alarming ? '' : 'text-ink'}`}
                >
                  <CountText of={states[state]} />
                </span>
              </Link>
            </li>
          );
        })}
      </ul>
      <Meanings
        label="What the states mean"
        of={ORDER.map((state) => ({ word: words[state], meaning: meaning(state, words) }))}
      />
    </div>
  );
}

function meaning(state: State, words: QueueStats['words']): string {
  switch (state) {
    case 'pending':
      return 'not due yet, or waiting for a tick';
    case 'running':
      return 'a tick is running it now';
    case 'done':
      return 'worked, and was confirmed';
    case 'unknown':
      return `may or may not be ${words.done}; retried only with proof that it is not, or if you decide so`;
    case 'dead':
      return 'failed for good; the row’s last error says why';
    case 'cancelled':
      return 'withdrawn before it started';
  }
}
