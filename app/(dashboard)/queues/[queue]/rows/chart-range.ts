import type { Query } from '@/components/link.ts';

const hourMs = 3_600_000;

/** Returns the time that the chart of a filter shows: that of its ends, or the last 24 hours, up to the end of this hour. */
export function chartRange(filter: Query, nowMs: number): { from: string; to: string } {
  const [from, to] = [filter.finished_from, filter.finished_to].map((at) => Date.parse(at ?? ''));
  const end = to || Math.ceil(nowMs / hourMs) * hourMs;
  return {
    from: new Date(from || end - 24 * hourMs).toISOString(),
    to: new Date(end).toISOString(),
  };
}
