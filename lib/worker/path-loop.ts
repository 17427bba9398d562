import { setTimeout as timeout } from 'node:timers/promises';
import type { CronCall } from '../cron/cron-call.ts';
import { growingPause } from './growing-pause.ts';
import { type CronEntry, isFrequent, latestSlot, nextSlot, scheduleOf } from './local-scheduler.ts';

/** A call of the path that a schedule or a waker requests. */
export type TickRequest = Pick<CronCall, 'scheduler' | 'slot' | 'schedule' | 'path'>;

/** `not_configured`: a setting is missing, and nothing else is wrong. */
export type CallState = 'ok' | 'failing' | 'not_configured';

export interface PathLoop {
  path: string;
  /**
   * Calls the path at once, or again as soon as the running call has ended. If the latest call failed, returns its state and makes no extra call, so
   * that the waker can tick by itself.
   */
  wake(request: TickRequest): 'started' | 'running' | Exclude<CallState, 'ok'>;
  /**
   * Rows may have fallen due: calls the path, at most twenty times a second and after the running call, for any number of nudges. Does nothing if the path
   * is due less than hourly.
   */
  nudge(): void;
  /** The latest call that has ended; null before the first. */
  latest(): { at: number; state: CallState } | null;
  /** Since when calls have been due and none has succeeded; null if none is due. */
  dueSince(): number | null;
  /** Resolves when the loop has ended. */
  ended: Promise<void>;
}

export interface PathLoopOptions {
  entry: CronEntry;
  /** Entries that are due at least hourly are called at this interval instead. */
  everyMs?: number;
  scheduler: string;
  /**
   * Makes one call. `hasMore` says whether a continuation would find rows that can start now, and `nextDueInMs` when the next row falls due; null if
   * none is pending.
   */
  call: (
    call: TickRequest & { continuation: number; runId: string },
  ) => Promise<{ hasMore: boolean; nextDueInMs: number | null }>;
  /** Ends the loop after the running call. */
  signal: AbortSignal;
  /** Called when a call fails, once while the fault stays the same. */
  onFault: (error: unknown, path: string) => void;
  /** Called when a call succeeds again. */
  onRecovered: (path: string) => void;
  now?: () => number;
  sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** The longest timer. The clock is read again after it, because the machine may have slept or its clock may have been set. */
const longestWaitMs = 60_000;
/** Further requests are dropped, because the last queued call also finds their rows. */
const maxRequests = 20;
/** Between the starts of two calls for rows that fall due, so that rows due at many instants cost no more than a call a second. */
const dueGapMs = 1_000;
/** The same for nudges. */
const nudgeGapMs = 50;

/**
 * Calls one path at the slots of its schedule, back-to-back while rows are left, and without a slot when the next row falls due. A slot that falls due
 * during a call gets the next call. If several have passed by then, only the latest one does. A failed call is repeated after a pause, or replaced by
 * the call for a new slot.
 *
 * At its start, the loop makes one call without a slot, because rows may have fallen due before. A path that is due less than hourly is called at its
 * slots only.
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
  const requestFor = (slotMs: number | null): TickRequest => ({
    scheduler,
    path: entry.path,
    schedule: slotMs === null ? null : schedule,
    slot: slotMs === null ? null : new Date(slotMs).toISOString(),
  });
  const callsForRows = isFrequent(entry);
  const requests: TickRequest[] = callsForRows ? [requestFor(null)] : [];
  let dueMs = nextSlot(entry, now(), everyMs);
  /** When to call for the next row that falls due. */
  let rowDueMs = Number.POSITIVE_INFINITY;
  let calledAtMs = Number.NEGATIVE_INFINITY;
  const pause = growingPause();
  let isBusy = false;
  let dueSince: number | null = null;
  let latest: ReturnType<PathLoop['latest']> = null;
  let reportedFault: string | null = null;
  let interrupt = () => {};

  /** Waits `ms`, or until the loop is woken or must end. */
  async function wait(ms: number): Promise<void> {
    const woken = new AbortController();
    interrupt = () => woken.abort();
    signal.addEventListener('abort', interrupt, { once: true });
    if (!signal.aborted) await sleep(Math.min(ms, longestWaitMs), woken.signal);
    signal.removeEventListener('abort', interrupt);
    interrupt = () => {};
  }

  /** Returns the next request; null if nothing is due. */
  function take(): TickRequest | null {
    const request = requests.shift();
    if (request) return request;
    const nowMs = now();
    const isDue = dueMs !== null && dueMs <= nowMs;
    const slotMs = isDue ? (latestSlot(entry, nowMs, everyMs) ?? dueMs) : null;
    // Computed again even if no slot is due, because the machine's clock may have been set back.
    dueMs = nextSlot(entry, nowMs, everyMs);
    return isDue ? requestFor(slotMs) : rowDueMs <= nowMs ? requestFor(null) : null;
  }

  /** Has the loop call at `ms`, or earlier if it is to call earlier, but not within `gapMs` of its latest call. */
  function callForRowsAt(ms: number, gapMs: number): void {
    if (callsForRows) rowDueMs = Math.min(rowDueMs, Math.max(ms, calledAtMs + gapMs));
  }

  const hasRequest = () => requests.length > 0 || (dueMs !== null && dueMs <= now());

  /** Makes one call and its continuations. */
  async function serve(request: TickRequest): Promise<void> {
    const runId = crypto.randomUUID();
    for (let continuation = 0; !signal.aborted; ) {
      dueSince ??= now();
      try {
        rowDueMs = Number.POSITIVE_INFINITY;
        calledAtMs = now();
        const { hasMore, nextDueInMs } = await call({ ...request, continuation, runId });
        if (nextDueInMs !== null) callForRowsAt(now() + nextDueInMs, dueGapMs);
        latest = { at: now(), state: 'ok' };
        dueSince = null;
        if (reportedFault !== null) onRecovered(entry.path);
        reportedFault = null;
        pause.reset();
        if (!hasMore || hasRequest()) return;
        continuation++;
      } catch (error) {
        const fault = error instanceof Error ? error.message : String(error);
        if (fault !== reportedFault) onFault(error, entry.path);
        reportedFault = fault;
        const isUnset = (error as { kind?: unknown } | null)?.kind === 'not_configured';
        latest = { at: now(), state: isUnset ? 'not_configured' : 'failing' };
        // A missing setting does not appear within a pause, so the next slot is soon enough.
        if (isUnset) return;
        await wait(pause.next());
        if (hasRequest()) return;
      }
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const request = take();
      if (request === null) {
        await wait(Math.min(dueMs ?? Number.POSITIVE_INFINITY, rowDueMs) - now());
        continue;
      }
      isBusy = true;
      await serve(request);
      isBusy = false;
    }
  }

  return {
    path: entry.path,
    wake(request) {
      if (latest && latest.state !== 'ok') return latest.state;
      if (requests.length < maxRequests) requests.push(request);
      interrupt();
      return isBusy ? 'running' : 'started';
    },
    nudge() {
      callForRowsAt(now(), nudgeGapMs);
      interrupt();
    },
    latest: () => latest,
    dueSince: () => dueSince,
    ended: run(),
  };
}
