/**
 * Does `work` under a signal that fires with `signal`, after `ms` (null: never by itself), and when the work has ended, so that nothing of
 * it goes on. By listeners of its own: what `AbortSignal.any` makes of `AbortSignal.timeout` may be collected before it fires.
 *
 * `startTimer` calls `fire` after `ms`, and answers how to take that back.
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
