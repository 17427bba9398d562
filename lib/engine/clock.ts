/**
 * Where the engine gets its time, chance and names from. Passed in, so that a test moves them and a run
 * can be repeated exactly.
 */
export interface Clock {
  /** Milliseconds since the epoch. Never goes backwards within one process. */
  now(): number;
  /** Calls `fn` once after `ms` milliseconds; the returned function takes it back. */
  timer(ms: number, fn: () => void): () => void;
}

/** A number in [0, 1). */
export type Random = () => number;

/** A new UUID. */
export type NewId = () => string;

/** The machine's clock. Monotonic: a correction of the wall clock neither stretches nor cuts a tick. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  timer(ms, fn) {
    const handle = setTimeout(fn, ms);
    return () => clearTimeout(handle);
  },
};

/** Resolves after `ms` milliseconds of `clock`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.timer(ms, resolve);
  });
}
