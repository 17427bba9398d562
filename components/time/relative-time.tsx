'use client';

import { shortDuration } from '@/lib/stats/short-duration.ts';
import { clockTime } from './clock-time.ts';
import { useServerNow, useTimeZone } from './server-now.tsx';

/**
 * Draws an instant in relation to now, and keeps it true without a request:
 * - by default `12 s ago` or `in 5 min`;
 * - `as="age"`: `12 s`.
 *
 * Draws `never` for Postgres' infinity.
 */
export function RelativeTime({ at, as = 'ago' }: { at: string; as?: 'ago' | 'age' }) {
  const seconds = (useServerNow() - Date.parse(at)) / 1_000;
  if (Number.isNaN(seconds)) return 'never';
  return (
    // A part of a page may be hydrated a second after it was rendered.
    <time dateTime={new Date(at).toISOString()} suppressHydrationWarning className="whitespace-nowrap">
      {as === 'age' ? shortDuration(seconds) : relativeWords(seconds)}
    </time>
  );
}

/** Draws an instant by the clock, in the browser's time zone: `09:00 tomorrow`. */
export function ClockTime({ at, seconds = false }: { at: string; seconds?: boolean }) {
  const timeZone = useTimeZone();
  const nowMs = useServerNow();
  return (
    <time dateTime={new Date(at).toISOString()} suppressHydrationWarning className="whitespace-nowrap">
      {clockTime(at, nowMs, { timeZone, seconds })}
    </time>
  );
}

/** Two reads differ by a little, so an instant up to 1 s ahead counts as past. */
function relativeWords(seconds: number): string {
  return seconds > -1 ? `${shortDuration(seconds)} ago` : `in ${shortDuration(-seconds)}`;
}
