import { shortDuration } from '@/lib/stats/short-duration.ts';
import { useServerNow } from './server-now.tsx';

/** Draws `12 s ago` or `in 5 min`, with the exact instant as tooltip, or `never` for Postgres' infinity. */
export function RelativeTime({ at }: { at: string }) {
  const seconds = (useServerNow() - Date.parse(at)) / 1_000;
  if (Number.isNaN(seconds)) return 'never';
  // Two reads differ by a little, so an instant up to 1 s ahead counts as past.
  const words = seconds > -1 ? `${shortDuration(seconds)} ago` : `in ${shortDuration(-seconds)}`;
  const exact = new Date(at).toISOString();
  return (
    <time dateTime={exact} title={exact} className="whitespace-nowrap">
      {words}
    </time>
  );
}
