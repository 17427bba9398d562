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

/** What the wall clock gains on the monotonic one from one reading to the next is a suspension from here on, and not its being kept exact. */
const suspendedMs = 1_000;

/**
 * Monotonic time, and what it missed: it stands still while a machine is suspended, and the wall clock goes on. One that is set forward counts
 * as such time, so that leases and budgets end early and never late; one that is set back counts as nothing. Both in milliseconds since
 * the epoch.
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

/** The machine's clock. */
export const systemClock: Clock = {
  now: unsuspendedTime(() => performance.timeOrigin + performance.now(), Date.now),
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
