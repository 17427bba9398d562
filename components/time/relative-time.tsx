import { shortDuration } from '@/lib/stats/short-duration';
import { useServerNow } from './server-now';

/** `12 s ago` or `in 5 min`, with the exact instant to be had by pointing at it; `never` for Postgres' infinity. */
export function RelativeTime({ at }: { at: string }) {
  const seconds = (useServerNow() - Date.parse(at)) / 1_000;
  if (Number.isNaN(seconds)) return 'never';
  // Two readings are not of quite the same instant: what was just now is not to come.
  const words = seconds > -1 ? `${shortDuration(seconds)} ago` : `in ${shortDuration(-seconds)}`;
  const exact = new Date(at).toISOString();
  return (
    <time dateTime={exact} title={exact} className="whitespace-nowrap">
      {words}
    </time>
  );
}
