import type { QueueStats } from '@/lib/store/stats.ts';

export type State = keyof QueueStats['states'];

/** The states in the order of a row’s life. */
export const STATES: State[] = ['pending', 'running', 'done', 'unknown', 'dead', 'cancelled'];

const TONES: Record<State, string> = {
  pending: 'bg-sunken text-ink',
  running: 'bg-busy-tint text-busy',
  done: 'bg-good-tint text-good',
  unknown: 'bg-warn-tint text-warn',
  dead: 'bg-bad-tint text-bad',
  cancelled: 'bg-sunken text-muted',
};

/** Returns the state that a queue’s word or a state’s name means; null for another word. */
export function stateOf(words: QueueStats['words'], word: string): State | null {
  return STATES.find((state) => words[state] === word) ?? STATES.find((state) => state === word) ?? null;
}

/** Draws a row’s state, in the queue’s own word. */
export function StateBadge({ words, word }: { words: QueueStats['words']; word: string }) {
  const state = stateOf(words, word);
  return (
    <span
      className={`rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ${state ? TONES[state] : 'bg-sunken text-ink'}`}
    >
      {word}
    </span>
  );
}
