import { dead, type Outcome } from '../engine/outcome.ts';
import type { Clock } from '../engine/ports/clock.ts';
import type { Job } from './define-job.ts';

/** Errors of these kinds cost no attempt, so they cannot end the last one. */
const freeKinds = new Set<unknown>(['rate_limited', 'account_refused']);

/**
 * Applies the limits of a job's file to one attempt. The job's row may lack them, if a plain insert made it or the file changed later. The signal
 * of `run` aborts after `timeoutSeconds` at the latest. If the last of `maxAttempts` attempts fails, the job is dead with the same error.
 * Otherwise throws the error of `run`, which calls `runJob`.
 */
export async function runWithin(
  { timeoutSeconds, maxAttempts = Number.POSITIVE_INFINITY }: Pick<Job, 'timeoutSeconds' | 'maxAttempts'>,
  { clock, signal, attempt }: { clock: Clock; signal: AbortSignal; attempt: number },
  run: (signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome> {
  const own = timeoutSeconds === undefined ? null : timeoutOf(clock, timeoutSeconds);
  try {
    return await run(own ? AbortSignal.any([signal, own.signal]) : signal);
  } catch (error) {
    const { kind, message } = error as Error & { kind?: unknown };
    if (attempt < maxAttempts || freeKinds.has(kind)) throw error;
    return dead(message);
  } finally {
    own?.cancel();
  }
}

function timeoutOf(clock: Clock, seconds: number): { signal: AbortSignal; cancel: () => void } {
  const controller = new AbortController();
  const reason = new DOMException(`the job reached its timeout of ${seconds} s`, 'TimeoutError');
  return {
    signal: controller.signal,
    cancel: clock.timer(seconds * 1_000, () => controller.abort(reason)),
  };
}
