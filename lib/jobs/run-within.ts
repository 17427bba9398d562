import { dead, type Outcome } from '../engine/outcome';
import type { Clock } from '../engine/ports/clock';
import type { Job } from './define-job';

/** Attempts that end by these cost none, so that they cannot be the last. */
const costNone = new Set<unknown>(['rate_limited', 'account_refused']);

/**
 * Holds an attempt to what the job's own file allows, where its row knows less: one that was made by a plain insert, or before the file was
 * changed. The signal that `run` is given fires after `timeoutSeconds` at the latest; one that fails as the last of `maxAttempts` is
 * dead, with the same error. `run` is `runJob` but for its signal, and throws as it does.
 */
export async function runWithin(
  { timeoutSeconds, maxAttempts = Number.POSITIVE_INFINITY }: Pick<Job, 'timeoutSeconds' | 'maxAttempts'>,
  { clock, signal, attempt }: { clock: Clock; signal: AbortSignal; attempt: number },
  run: (signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome> {
  const own = new AbortController();
  const cancel =
    timeoutSeconds === undefined
      ? () => {}
      : clock.timer(timeoutSeconds * 1_000, () =>
          own.abort(new DOMException(`the job's ${timeoutSeconds} s are over`, 'TimeoutError')),
        );
  try {
    return await run(AbortSignal.any([signal, own.signal]));
  } catch (error) {
    const { kind, message } = error as Error & { kind?: unknown };
    if (attempt < maxAttempts || costNone.has(kind)) throw error;
    return dead(message);
  } finally {
    cancel();
  }
}
