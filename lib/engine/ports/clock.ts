/** The engine's source of time. Time, chance and ids are passed in, so that a test controls them and can repeat a run exactly. */
export interface Clock {
  /** Milliseconds since the epoch. Never goes backwards within one process. */
  now(): number;
  /** Calls `fn` once after `ms` milliseconds. Returns a function that cancels it. */
  timer(ms: number, fn: () => void): () => void;
}

/** A number in [0, 1). */
export type Random = () => number;

/** A new UUID. */
export type NewId = () => string;

/** If the wall clock gains at least this on the monotonic clock between two readings, the machine was suspended. A smaller gain is an adjustment. */
const suspendedMs = 1_000;

/**
 * Returns a monotonic clock that also counts suspensions, in milliseconds since the epoch. `monotonic` stands still while the machine is
 * suspended; `wall` does not. A wall clock that is set forward counts as a suspension, so leases and budgets end early and never late. One that
 * is set back changes nothing.
 */
export function unsuspendedTime(monotonic: () => number, wall: () => number): () => number {
  let missedMs = 0;
  let lead = wall() - monotonic();
  return () => {
    const at = monotonic();
    const gainedMs = wall() - at - lead;
    lead += gainedMs;
    if (gainedMs >= suspendedMs) missedMs += gainedMs;
    return at + missedMs;
  };
}

const { timeOrigin } = performance;

/** The machine's clock. */
export const systemClock: Clock = {
  now: unsuspendedTime(() => timeOrigin + performance.now(), Date.now),
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
