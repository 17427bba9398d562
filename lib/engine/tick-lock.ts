import type { Log } from './ports/log.ts';
import type { HeldLock, LockAttempt, OverlapLock } from './ports/overlap-lock.ts';

/** Outlasts a cron event that is delivered twice. A tick with rows extends the lock. */
const lifetimeMs = 5_000;

/** The overlap lock of one tick. An idle tick costs one command: it lets its lock expire. */
export class TickLock {
  private held: HeldLock | null = null;

  constructor(
    private readonly lock: OverlapLock | null,
    private readonly log: Log,
  ) {}

  /** Returns `none` without a lock. */
  async take(key: string, tick: string): Promise<LockAttempt['state'] | 'none'> {
    if (!this.lock) return 'none';
    const attempt = await this.lock.acquire(key, lifetimeMs);
    if (attempt.state === 'acquired') this.held = attempt.lock;
    if (attempt.state === 'unavailable')
      this.log.warn({ tick, reason: attempt.reason }, 'the lock is unavailable; the tick runs without it');
    return attempt.state;
  }

  async extend(toMs: number): Promise<void> {
    await this.held?.extend(toMs);
  }

  async release(): Promise<void> {
    const { held } = this;
    this.held = null;
    await held?.release();
  }
}
