/**
 * Keeps ticks of one queue and partition from overlapping. It saves work; it is not what makes a send
 * happen once: rows are fenced in Postgres, since a lock on a replicated store can be lost.
 */
export interface OverlapLock {
  /** Never throws: a lock that cannot be asked is `unavailable`, and the tick goes on without it. */
  acquire(key: string, lifetimeMs: number): Promise<LockAttempt>;
}

export type LockAttempt =
  | { state: 'acquired'; lock: HeldLock }
  | { state: 'held' }
  | { state: 'unavailable'; reason: string };

export interface HeldLock {
  /** Sets the lifetime anew, counted from now. False when the lock is no longer ours. Never throws. */
  extend(lifetimeMs: number): Promise<boolean>;
  /** Gives the lock back if it is still ours. Never throws. */
  release(): Promise<void>;
}
