import { setTimeout as timeout } from 'node:timers/promises';
import type { CronCall } from '../lib/cron/cron-call';
import { growingPause } from './growing-pause';
import { type CronEntry, isFrequent, latestSlot, nextSlot, scheduleOf } from './local-scheduler';

/** What somebody who wakes the loop says of its scheduler. */
export type Wish = Pick<CronCall, 'scheduler' | 'slot' | 'schedule' | 'path'>;

/** `not_configured`: something has to be set, and nothing is wrong otherwise. */
export type CallState = 'ok' | 'failing' | 'not_configured';

export interface PathLoop {
  path: string;
  /**
   * Calls at once, or once more as soon as the call under way has ended. Where the latest call failed it says so, and leaves it at the
   * calls that come anyway: whoever asks had better do it himself.
   */
  wake(wish: Wish): 'started' | 'running' | Exclude<CallState, 'ok'>;
  /** How the latest call that has ended went; null before the first. */
  latest(): { at: number; state: CallState } | null;
  /** Since when something has been due without any call that succeeded; null while nothing is. */
  dueSince(): number | null;
  /** Resolves when the loop has ended. */
  ended: Promise<void>;
}

export interface PathLoopOptions {
  entry: CronEntry;
  /** Entries that are due every hour or oftener are called at this pace instead. */
  everyMs?: number;
  scheduler: string;
  /** Does one call. `hasMore` says whether another one at once would get on. */
  call: (call: Wish & { continuation: number; runId: string }) => Promise<{ hasMore: boolean }>;
  /** Ends the loop; the call under way is waited for. */
  signal: AbortSignal;
  /** Told what is wrong with calls, once for as long as it stays the same. */
  onFault: (error: unknown, path: string) => void;
  /** Told when a call succeeds again. */
  onRecovered: (path: string) => void;
  now?: () => number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** Timers are set anew at least this often, so that a machine that slept or was set right is noticed. */
const longestWaitMs = 60_000;
/** Wishes that wait their turn: more are one, since whoever ticks last sees what all of them meant. */
const mostWishes = 20;

/**
 * Calls one path at the slots of its schedule, back-to-back while there is a backlog. A slot that comes meanwhile is answered by the next
 * call; of several that passed, by then, the latest one is. A call that fails is made again after a pause, for the slot that has come by then.
 * At its start it calls once for no slot, since nobody knows what has fallen due; a path that is due less than hourly waits for its time.
 */
export function startPathLoop({
  entry,
  everyMs,
  scheduler,
  call,
  signal,
  onFault,
  onRecovered,
  now = Date.now,
  sleep = (ms, signal) => timeout(ms, undefined, { signal }).catch(() => {}),
}: PathLoopOptions): PathLoop {
  const schedule = scheduleOf(entry, everyMs);
  const bySchedule = (slotMs: number | null): Wish => ({
    scheduler,
    path: entry.path,
    schedule: slotMs === null ? null : schedule,
    slot: slotMs === null ? null : new Date(slotMs).toISOString(),
  });
  const wishes: Wish[] = isFrequent(entry) ? [bySchedule(null)] : [];
  let dueMs = nextSlot(entry, now(), everyMs);
  const pause = growingPause();
  let isBusy = false;
  let dueSince: number | null = null;
  let latest: ReturnType<PathLoop['latest']> = null;
  let saidFault: string | null = null;
  let interrupt = () => {};

  /** Until `ms` have passed, the loop is woken, or it is to end. */
  async function wait(ms: number): Promise<void> {
    const woken = new AbortController();
    interrupt = () => woken.abort();
    signal.addEventListener('abort', interrupt, { once: true });
    if (!signal.aborted) await sleep(Math.min(ms, longestWaitMs), woken.signal);
    signal.removeEventListener('abort', interrupt);
    interrupt = () => {};
  }

  /** What is to be called for now; null while nothing is. */
  function take(): Wish | null {
    const wish = wishes.shift();
    if (wish) return wish;
    const nowMs = now();
    const isDue = dueMs !== null && dueMs <= nowMs;
    const slotMs = isDue ? (latestSlot(entry, nowMs, everyMs) ?? dueMs) : null;
    // Reckoned anew even where none is due: the machine's clock may have been set back.
    dueMs = nextSlot(entry, nowMs, everyMs);
    return isDue ? bySchedule(slotMs) : null;
  }

  const isWanted = () => wishes.length > 0 || (dueMs !== null && dueMs <= now());

  /** One call and its continuations. */
  async function answer(wish: Wish): Promise<void> {
    const runId = crypto.randomUUID();
    for (let continuation = 0; !signal.aborted; ) {
      dueSince ??= now();
      try {
        const { hasMore } = await call({ ...wish, continuation, runId });
        latest = { at: now(), state: 'ok' };
        dueSince = null;
        if (saidFault !== null) onRecovered(entry.path);
        saidFault = null;
        pause.reset();
        if (!hasMore || isWanted()) return;
        continuation++;
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        if (fault !== saidFault) onFault(error, entry.path);
        saidFault = fault;
        const isUnset = (error as { kind?: unknown } | null)?.kind === 'not_configured';
        latest = { at: now(), state: isUnset ? 'not_configured' : 'failing' };
        // What has to be set will not be set meanwhile: the next slot comes soon enough.
        if (isUnset) return;
        await wait(pause.next());
        if (isWanted()) return;
      }
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const wish = take();
      if (wish === null) {
        await wait(dueMs === null ? longestWaitMs : dueMs - now());
        continue;
      }
      isBusy = true;
      await answer(wish);
      isBusy = false;
    }
  }

  return {
    path: entry.path,
    wake(wish) {
      if (latest && latest.state !== 'ok') return latest.state;
      if (wishes.length < mostWishes) wishes.push(wish);
      interrupt();
      return isBusy ? 'running' : 'started';
    },
    latest: () => latest,
    dueSince: () => dueSince,
    ended: run(),
  };
}
