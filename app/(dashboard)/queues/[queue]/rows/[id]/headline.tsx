'use client';

import { useServerNow, useTimeZone } from '@/components/time/server-now.tsx';
import type { Explanation } from '@/lib/store/explanation.ts';
import { explanationHeadline } from './explanation-headline.ts';

/** Draws the sentence that says why a row is in its state, with times in the browser's time zone. */
export function Headline({ row }: { row: Omit<Explanation, 'history'> }) {
  const timeZone = useTimeZone();
  const nowMs = useServerNow();
  return (
    <p suppressHydrationWarning className="mt-1 text-base font-semibold wrap-anywhere">
      {explanationHeadline(row, nowMs, timeZone)}
    </p>
  );
}
