/**
 * Does `work` under a signal that fires with `signal`, after `ms` (null: never by itself), and when the work has ended, so that nothing of
 * it goes on. By listeners of its own: what `AbortSignal.any` makes of `AbortSignal.timeout` may be collected before it fires.
 */
export async function within<T>(
  signal: AbortSignal,
  ms: number | null,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController();
  const end = () => ending.abort(signal.reason);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  const timer = ms === null ? undefined : setTimeout(() => ending.abort(), ms);
  try {
    return await work(ending.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    ending.abort();
  }
}
