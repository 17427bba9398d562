import type { Forecast } from '@/lib/stats/forecast.ts';

/** Says whether what may be sent is enough: `enough`, `short by 12`. */
export function enoughInWords({ short, more }: Pick<Forecast, 'short' | 'more'>): string {
  if (short > 0) return `short by ${more ? 'at least ' : ''}${short.toLocaleString('en-US')}`;
  return more ? 'enough for those that were counted' : 'enough';
}

/** Says the figures of hours: `3, 0, 12`. Counts end at 10,000. */
export function hoursInWords(counts: number[]): string {
  return counts.map((count) => (count >= 10_000 ? '9,999+' : count.toLocaleString('en-US'))).join(' · ');
}
