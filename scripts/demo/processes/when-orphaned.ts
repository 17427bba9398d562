import { readFileSync } from 'node:fs';

const lookMs = 1_000;

/**
 * Calls `end` when this program was started by `npm run` and what started it is gone. npm runs a script by way of a shell, and a
 * `kill` of npm ends that shell without a word to this process. Where there is no `/proc` (macOS) nobody notices.
 */
export function whenOrphaned(end: () => void): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const starters = readStarters();
  if (starters === null) return;
  const timer = setInterval(() => {
    if (readStarters() === starters) return;
    clearInterval(timer);
    end();
  }, lookMs);
  timer.unref();
}

/** The ids of the parent, which is `tsx`, and of its parent, which is npm's shell. */
function readStarters(): string | null {
  try {
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
    return `${process.ppid} ${stat.split(') ').at(-1)?.split(' ')[1]}`;
  } catch {
    return null;
  }
}
