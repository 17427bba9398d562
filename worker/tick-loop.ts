import { setTimeout as timeout } from 'node:timers/promises';
import { growingPause } from './growing-pause';

export interface TickLoop {
  /** `hasMore` says whether another one at once would get on. */
  tick: () => Promise<{ hasMore: boolean }>;
  /** From one tick's start to the next one's, where nothing is left to do. */
  everyMs: number;
  /** Ends the loop; the tick under way is waited for. */
  signal: AbortSignal;
  /** Told of every tick that failed, and when the next one comes. What it throws ends the loop. */
  onError: (error: unknown, againInMs: number) => void;
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** Tick after tick: at once while there is a backlog, else at the pace; after errors with a pause that grows. */
export async function runTickLoop({
  tick,
  everyMs,
  signal,
  onError,
  sleep = (ms, signal) => timeout(ms, undefined, { signal }).catch(() => {}),
}: TickLoop): Promise<void> {
  const pause = growingPause();
  while (!signal.aborted) {
    const startedAt = Date.now();
    let waitMs: number;
    try {
      const { hasMore } = await tick();
      pause.reset();
      waitMs = hasMore ? 0 : Math.max(0, startedAt + everyMs - Date.now());
    } catch (error) {
      waitMs = pause.next();
      onError(error, waitMs);
    }
    if (waitMs > 0 && !signal.aborted) await sleep(waitMs, signal);
  }
}
