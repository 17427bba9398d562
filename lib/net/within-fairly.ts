import { performance } from 'node:perf_hooks';
import { within } from './within';

/** What is given back at most, so that whoever set a longer limit around it still has time of his own. */
const mostGivenMs = 1_500;

/**
 * From now on: how much of the time of something that may take `ms` is to be given back to it, since this process was busy with other things,
 * and what it waited for may have come long ago. None where it was busy for no more than a quarter of `ms`.
 */
export function givenBackSinceNow(ms: number): () => number {
  const before = performance.eventLoopUtilization();
  return () => {
    const busyMs = performance.eventLoopUtilization(before).active;
    return busyMs > ms / 4 ? Math.min(busyMs, 2 * ms, mostGivenMs) : 0;
  };
}

/**
 * As `within`, for what is judged by its time: the time that the process itself was busy is given back, twice `ms` and 1.5 s at most, and
 * what has come by the end is read before the end is called.
 */
export function withinFairly<T>(
  signal: AbortSignal,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const givenMs = givenBackSinceNow(ms);
  return within(signal, ms, work, (_ms, fire) => {
    let timer: NodeJS.Timeout | undefined;
    let immediate: NodeJS.Immediate | undefined;
    const wait = (leftMs: number) => {
      timer = setTimeout(() => {
        const stillMs = startedAt + ms + givenMs() - performance.now();
        // Timers come before what the network brought in the meantime.
        if (stillMs > 0) wait(stillMs);
        else immediate = setImmediate(fire);
      }, leftMs);
    };
    wait(ms);
    return () => {
      clearTimeout(timer);
      clearImmediate(immediate);
    };
  });
}
