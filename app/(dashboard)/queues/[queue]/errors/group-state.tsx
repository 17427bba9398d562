import type { ErrorGroup } from '@/lib/store/story/error-group.ts';
import { STATE_TONES } from './error-words.ts';

/** Draws whether an error group is new, known or gone. */
export function GroupState({ state }: { state: ErrorGroup['state'] }) {
  return (
    <span className={`rounded-full px-2 py-0.5 text-xs font-medium ${STATE_TONES[state]}`}>{state}</span>
  );
}
