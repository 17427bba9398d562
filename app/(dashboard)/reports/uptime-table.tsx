import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { uptimeText, uptimeTone } from '@/components/uptime-text.ts';
import type { Analytics } from '@/lib/store/analytics.ts';
import { DayName } from './day-cells.tsx';
import { uptimeDays } from './uptime-days.ts';

interface UptimeTableProps {
  monitors: Analytics['monitors'];
  /** Also shows monitors that were always up. */
  isWhole: boolean;
}

/** Draws uptime by monitor and day, the worst monitor first. */
export function UptimeTable({ monitors: entries, isWhole }: UptimeTableProps) {
  const { days, monitors } = uptimeDays(entries);
  const worst = monitors.filter(({ alwaysUp }) => !alwaysUp);
  const shown = isWhole ? monitors : worst;
  const hidden = monitors.length - shown.length;
  if (monitors.length === 0) return null;
  return (
    <Section id="uptime-by-day" heading="Uptime by day">
      {shown.length > 0 ? (
        <section
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
          tabIndex={0}
          aria-label="Uptime by day"
          className="overflow-x-auto"
        >
          <table className="border-collapse">
            <thead>
              <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
                <th scope="col">monitor, the worst first</th>
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
                      className={`pl-6 text-right whitespace-nowrap ${uptimeTone(one?.uptime ?? null)}`}
                    >
                      {uptimeText(one?.uptime ?? null)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      ) : (
        <p className="text-good">Every monitor was always up.</p>
      )}
      {hidden > 0 && (
        <p>
          <Link href="/reports?uptime=all#uptime-by-day" prefetch={false} className={LINK}>
            Also the {hidden} that were always up
          </Link>
        </p>
      )}
    </Section>
  );
}
