import { useState } from 'react';
import { ShowMore } from '@/components/lists/show-more.tsx';
import { uptimeText, uptimeTone } from '@/components/uptime-text.ts';
import { shortMs } from '@/lib/stats/short-duration.ts';
import type { Analytics } from '@/lib/store/analytics.ts';
import { DayName } from './day-cells.tsx';
import { uptimeDays } from './uptime-days.ts';

/** Monitors that are shown at first. The worst come first. */
const FIRST_SHOWN = 8;

/** Draws uptime by monitor and day. Monitors that were always up are folded at first. */
export function UptimeTable({ monitors: entries }: { monitors: Analytics['monitors'] }) {
  const [isExpanded, setIsExpanded] = useState(false);
  const { days, monitors } = uptimeDays(entries);
  const worst = monitors.filter(({ alwaysUp }) => !alwaysUp).slice(0, FIRST_SHOWN);
  const shown = isExpanded ? monitors : worst;
  const hidden = monitors.length - worst.length;
  if (monitors.length === 0) return null;
  return (
    <section aria-labelledby="uptime-by-day">
      <h3 id="uptime-by-day" className="font-semibold">
        Uptime by day
      </h3>
      {shown.length > 0 ? (
        <div
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
          tabIndex={0}
          className="mt-1 overflow-x-auto"
        >
          <table className="border-collapse">
            <thead>
              <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
                <th scope="col">monitor, worst first</th>
                {days.map(({ day, partial }) => (
                  <th key={day} scope="col" className="pl-6 text-right">
                    <DayName day={day} partial={partial} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {shown.map(({ id, name, byDay }) => (
                <tr key={id} className="align-baseline *:border-t *:border-line *:py-1 first:*:border-t-0">
                  <th scope="row" className="text-left font-normal">
                    {name}
                  </th>
                  {byDay.map((one, index) => (
                    <td
                      key={days[index]?.day}
                      title={one ? inWords(one) : 'Not checked on this day.'}
                      className={`pl-6 text-right whitespace-nowrap ${uptimeTone(one?.uptime ?? null)}`}
                    >
                      {uptimeText(one?.uptime ?? null)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <p className="mt-2 text-good">Every monitor was always up.</p>
      )}
      <ShowMore isExpanded={isExpanded} hidden={hidden} onChange={setIsExpanded} />
    </section>
  );
}

function inWords({ checks, up, degraded, down, p50_ms, p95_ms }: Analytics['monitors'][number]): string {
  const took = p50_ms === null ? '' : `; p50 ${shortMs(p50_ms)}, p95 ${shortMs(p95_ms ?? p50_ms)}`;
  return `${checks} checks: ${up} up, ${degraded} degraded, ${down} down${took}`;
}
