import type { HeldLock, LockAttempt, OverlapLock } from '../../lib/engine/ports/overlap-lock.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Fate, Faults } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';

/** Redis with expiry in virtual time. Sometimes it is unreachable, and sometimes it grants a lock that another process holds. */
export class SimulatedLocks {
  private readonly held = new Map<string, { until: number }>();

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  portOf(process: SimulatedProcess, fate: Fate): OverlapLock {
    const query = <T>(evaluate: () => T): Promise<T> =>
      new Promise((resolve) => {
        fate.step();
        if (process.isOver) return;
        this.clock.timer(this.random.magnitude(1, 30), () => {
          const value = evaluate();
          process.receive('response', () => resolve(value));
        });
      });
    return {
      acquire: (key, lifetimeMs) => {
        const fault = this.faults.ofLock();
        if (fault === 'unavailable') {
          return new Promise((resolve) => {
            process.clock.timer(500, () => resolve({ state: 'unavailable', reason: 'no answer from Redis' }));
          });
        }
        return query((): LockAttempt => {
          const now = this.clock.now();
          const holder = this.held.get(key);
          if (holder && holder.until > now && fault !== 'lies') return { state: 'held' };
          const mine = { until: now + lifetimeMs };
          this.held.set(key, mine);
          return { state: 'acquired', lock: this.lockOf(key, mine, query) };
        });
      },
    };
  }

  private lockOf(
    key: string,
    mine: { until: number },
    query: <T>(evaluate: () => T) => Promise<T>,
  ): HeldLock {
    const isMine = () => this.held.get(key) === mine && mine.until > this.clock.now();
    return {
      extend: (lifetimeMs) =>
        query(() => {
          if (!isMine()) return false;
          mine.until = this.clock.now() + lifetimeMs;
          return true;
        }),
      release: () =>
        query(() => {
          if (isMine()) this.held.delete(key);
        }),
    };
  }
}
