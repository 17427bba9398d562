/**
 * Keeps ticks of one partition from overlapping. It only saves work. The fence in Postgres makes a send happen once, because a replicated
 * store can lose a lock.
 */
export interface OverlapLock {
  /** Never throws. If the lock's store does not respond, the lock is `unavailable` and the tick runs without it. */
  acquire(key: string, lifetimeMs: number): Promise<LockAttempt>;
}

export type LockAttempt =
  | { state: 'acquired'; lock: HeldLock }
  | { state: 'held' }
  | { state: 'unavailable'; reason: string };

export interface HeldLock {
  /** Sets the remaining lifetime. Returns false if the lock is no longer ours. Never throws. */
  extend(lifetimeMs: number): Promise<boolean>;
  /** Releases the lock if it is still ours. Never throws. */
  release(): Promise<void>;
}
