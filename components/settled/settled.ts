import type { Settled } from '@/lib/store/stats.ts';

export type Outcome = 'done' | 'retried' | 'unknown' | 'dead';
export type Bar = Record<Outcome, number> & { at: string; total: number };

export const OUTCOMES: Outcome[] = ['done', 'retried', 'unknown', 'dead'];

export const OUTCOME_FILL: Record<Outcome, string> = {
  done: 'var(--good-bar)',
  retried: 'var(--retry-bar)',
  unknown: 'var(--warn-bar)',
  dead: 'var(--bad-bar)',
};

/** Returns a bar for each of the last `count` minutes or hours up to `now`, the oldest first. Those without outcomes are zeros. */
export function settledBars(settled: Settled[], now: string, count: number, unitMs: number): Bar[] {
  const unitOf = (instant: string) => Math.floor(Date.parse(instant) / unitMs);
  const byUnit = new Map(settled.map((entry) => [unitOf(entry.at), entry]));
  return Array.from({ length: count }, (_, index) => {
    const unit = unitOf(now) - (count - 1 - index);
    const { done, retried, unknown, dead } = byUnit.get(unit) ?? { done: 0, retried: 0, unknown: 0, dead: 0 };
    const at = new Date(unit * unitMs).toISOString();
    return { at, done, retried, unknown, dead, total: done + retried + unknown + dead };
  });
}

/** Says the outcomes that are not zero, in the queue's words: `12 sent, 1 failed`; `nothing` without any. */
export function settledInWords(
  bars: Omit<Bar, 'at' | 'total'>[],
  words: Record<'done' | 'unknown' | 'dead', string>,
): string {
  const labels: Record<Outcome, string> = { ...words, retried: 'retried' };
  const counts = OUTCOMES.map((kind) => ({ kind, count: bars.reduce((sum, bar) => sum + bar[kind], 0) }));
  const said = counts
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count.toLocaleString('en-US')} ${labels[kind]}`);
  return said.join(', ') || 'nothing';
}
