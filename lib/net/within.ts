/**
 * Runs `work` with a signal that fires when `signal` does, after `ms`, and when the work has ended, so that no part of it continues. If `ms` is null,
 * there is no time limit. It listens itself, because `AbortSignal.any` over `AbortSignal.timeout` may be garbage-collected before it fires.
 *
 * `startTimer` calls `fire` after `ms` and returns a function that cancels it.
 */
export async function within<T>(
  signal: AbortSignal | undefined,
  ms: number | null,
  work: (signal: AbortSignal) => Promise<T>,
  startTimer: (ms: number, fire: () => void) => () => void = realTimer,
): Promise<T> {
  const ending = new AbortController();
  const end = () => ending.abort(signal?.reason);
  if (signal?.aborted) end();
  signal?.addEventListener('abort', end, { once: true });
  const cancel = ms === null ? () => {} : startTimer(ms, () => ending.abort());
  try {
    return await work(ending.signal);
  } finally {
    cancel();
    signal?.removeEventListener('abort', end);
    ending.abort();
  }
}

function realTimer(ms: number, fire: () => void): () => void {
  const timer = setTimeout(fire, ms);
  return () => clearTimeout(timer);
}
