import { CountText } from '@/components/count-text.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

type State = keyof QueueStats['states'];

const ORDER: State[] = ['pending', 'running', 'done', 'unknown', 'dead', 'cancelled'];
/** The states that may need a person. */
const ALARMING: Partial<Record<State, string>> = {
  unknown: 'border-warn-line bg-warn-tint text-warn',
  dead: 'border-bad-line bg-bad-tint text-bad',
};

/** Draws the number of rows in each of the six states, in the queue's words. */
export function StateTiles({ queue }: { queue: QueueStats }) {
  const explained = ORDER.filter((state) => ALARMING[state] && queue.states[state].count > 0);
  return (
    <div>
      <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
        {ORDER.map((state) => {
          const alarming = queue.states[state].count > 0 && ALARMING[state];
          return (
            <div
              key={state}
              title={meaning(state, queue.words)}
              className={`rounded-lg border px-3.5 py-3 ${alarming || 'border-line'}`}
            >
              <dt className={alarming ? 'font-medium' : 'text-muted'}>{queue.words[state]}</dt>
              <dd
                className={`mt-1 text-[1.375rem] leading-8 font-semibold tracking-tight ${alarming ? '' : 'text-ink'}`}
              >
                <CountText of={queue.states[state]} />
              </dd>
            </div>
          );
        })}
      </dl>
      {explained.length > 0 && (
        <ul className="mt-3 grid gap-1">
          {explained.map((state) => (
            <li key={state} className="text-muted">
              <strong className="font-semibold text-ink">{queue.words[state]}:</strong>{' '}
              {meaning(state, queue.words)}.
            </li>
          ))}
        </ul>
      )}
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
