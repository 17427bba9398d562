import { performance } from 'node:perf_hooks';
import { within } from './within.ts';

/** The longest credit, so that a caller with a limit of its own, longer than `ms`, has time left. */
const maxCreditMs = 1_500;

/**
 * Starts to measure how long this process is busy. The returned function returns the milliseconds to credit to work that may take `ms`: while the
 * process was busy, a response may have waited to be read. It returns 0 if the process was busy for at most a quarter of `ms`.
 */
export function trackBusyTime(ms: number): () => number {
  const before = performance.eventLoopUtilization();
  return () => {
    const busyMs = performance.eventLoopUtilization(before).active;
    return busyMs > ms / 4 ? Math.min(busyMs, 2 * ms, maxCreditMs) : 0;
  };
}

/**
 * Like `within`, for work that is judged by its duration. Extends the time by the credit of `trackBusyTime`: at most twice `ms`, and never more than
 * 1.5 s. Data that has arrived by the end is read before the signal fires.
 */
export function withinFairly<T>(
  signal: AbortSignal,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const creditMs = trackBusyTime(ms);
  return within(signal, ms, work, (_ms, fire) => {
    let timer: NodeJS.Timeout | undefined;
    let immediate: NodeJS.Immediate | undefined;
    const wait = (waitMs: number) => {
      timer = setTimeout(() => {
        const leftMs = startedAt + ms + creditMs() - performance.now();
        // Node runs timers before it reads what arrived meanwhile, so the signal fires after that.
        if (leftMs > 0) wait(leftMs);
        else immediate = setImmediate(fire);
      }, waitMs);
    };
    wait(ms);
    return () => {
      clearTimeout(timer);
      clearImmediate(immediate);
    };
  });
}
