'use client';

import { ActForm } from '@/components/acts/act-form.tsx';
import type { ActResult } from '@/components/acts/act-result.ts';
import { useServerNow, useTimeZone } from '@/components/time/server-now.tsx';
import { tomorrowAt9 } from './tomorrow.ts';

interface SnoozeMenuProps {
  act: (before: ActResult | null, form: FormData) => Promise<ActResult>;
  /** The line, for screen readers. */
  label: string;
}

/** Draws the button that offers until when a line is put off. Only one menu of a page is open at a time. */
export function SnoozeMenu({ act, label }: SnoozeMenuProps) {
  const isUtc = useTimeZone() !== undefined;
  const nowMs = useServerNow();
  const choices = [
    { until: 'hour', words: 'For 1 hour' },
    { until: tomorrowAt9(nowMs, isUtc), words: `Until tomorrow 9:00${isUtc ? ' UTC' : ''}` },
    { until: 'week', words: 'For 7 days' },
  ];
  return (
    <details name="snooze" className="relative shrink-0">
      <summary
        aria-label={`Snooze: ${label}`}
        className="inline-flex min-h-9 cursor-pointer list-none items-center [&::-webkit-details-marker]:hidden rounded-md border border-line-strong px-3 font-medium hover:bg-sunken"
      >
        Snooze
      </summary>
      <div className="absolute right-0 z-10 mt-1 grid w-max gap-2 rounded-md border border-line-strong bg-surface p-2 shadow-lg">
        {choices.map(({ until, words }) => (
          <ActForm key={words} act={act} submit={words}>
            <input type="hidden" name="until" value={until} suppressHydrationWarning />
          </ActForm>
        ))}
      </div>
    </details>
  );
}
