import type { QueueStats } from '@/lib/store/stats.ts';

/** Longer forecasts say nothing. */
const maxMs = 7 * 86_400_000;

/** Returns when no row of a queue is due any more, at the pace of the last hour: an instant, `empty` if none is due, or `unknown`. */
export function emptyAt(
  { due_now: due, throughput, paused_at }: QueueStats,
  now: string,
): string | 'empty' | 'unknown' {
  if (due.count === 0) return 'empty';
  const settled = throughput.reduce((sum, { done, dead }) => sum + done + dead, 0);
  const first = throughput[0];
  if (!first || settled === 0 || paused_at !== null) return 'unknown';
  // A queue that began a minute ago has a pace, too.
  const spanMs = Math.max(60_000, Date.parse(now) - Date.parse(first.at));
  const leftMs = (due.count / settled) * spanMs;
  return leftMs > maxMs ? 'unknown' : new Date(Date.parse(now) + leftMs).toISOString();
}
