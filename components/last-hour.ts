import type { QueueStats } from '@/lib/store/stats.ts';

export type Settled = 'done' | 'retried' | 'unknown' | 'dead';
export type Minute = Record<Settled, number> & { minutesAgo: number; total: number };

export const SETTLED: Settled[] = ['done', 'retried', 'unknown', 'dead'];

/** Returns the sixty minutes up to `now`, oldest first. Minutes without settled rows are zeros. */
export function lastHour(throughput: QueueStats['throughput'], now: string): Minute[] {
  const byMinute = new Map(throughput.map((entry) => [minuteOf(entry.minute), entry]));
  return Array.from({ length: 60 }, (_, index) => {
    const minutesAgo = 59 - index;
    const entry = byMinute.get(minuteOf(now) - minutesAgo);
    const { done, retried, unknown, dead } = entry ?? { done: 0, retried: 0, unknown: 0, dead: 0 };
    return { minutesAgo, done, retried, unknown, dead, total: done + retried + unknown + dead };
  });
}

function minuteOf(instant: string): number {
  return Math.floor(Date.parse(instant) / 60_000);
}
