import type { AccountWithPace } from '@/lib/operate/account-pace.ts';
import { openDays } from '../account-words.ts';

/** Draws a week's sending hours, a strip a day, from midnight to midnight in the account's time zone. */
export function WeekHours({ account: { hours, time_zone } }: { account: AccountWithPace }) {
  return (
    <div>
      <h3 className="font-semibold">Sending hours</h3>
      <p className="text-muted">
        {hours === null ? 'At any time.' : `In ${time_zone}. The marks are 06:00, 12:00 and 18:00.`}
      </p>
      {hours !== null && (
        <dl className="mt-2 grid max-w-2xl grid-cols-[auto_minmax(0,1fr)] items-center gap-x-3 gap-y-1 sm:grid-cols-[auto_minmax(0,1fr)_13rem]">
          {openDays(hours).map(({ day, spans, text }) => (
            <div key={day} className="contents">
              <dt>{day}</dt>
              <dd aria-hidden="true">
                <svg
                  viewBox="0 0 24 1"
                  preserveAspectRatio="none"
                  className="block h-3 w-full"
                  role="presentation"
                >
                  <rect width="24" height="1" fill="var(--sunken)" />
                  {spans.map(({ from, to }) => (
                    <rect key={from} x={from} width={to - from} height="1" fill="var(--good-bar)" />
                  ))}
                  <path d="M5.97 0h.06v1h-.06zM11.97 0h.06v1h-.06zM17.97 0h.06v1h-.06z" fill="var(--muted)" />
                </svg>
              </dd>
              <dd className="text-xs text-muted max-sm:col-start-2">{text}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}
