import { readFileSync } from 'node:fs';

const intervalMs = 1_000;

/**
 * Calls `end` if `npm run` started this program and has ended since. npm runs a script in a shell, and a `kill` of npm ends that shell without a
 * signal to this process. Does nothing on systems without `/proc`, for example macOS.
 */
export function whenOrphaned(end: () => void): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const ancestors = readAncestors();
  if (ancestors === null) return;
  const timer = setInterval(() => {
    if (readAncestors() === ancestors) return;
    clearInterval(timer);
    end();
  }, intervalMs);
  timer.unref();
}

/** Returns the process ids of the parent (tsx) and of its parent (npm's shell); null without `/proc`. */
function readAncestors(): string | null {
  try {
    const stat = readFileSync(`/proc/${process.ppid}/stat`, 'utf8');
    return `${process.ppid} ${stat.split(') ').at(-1)?.split(' ')[1]}`;
  } catch {
    return null;
  }
}
