import { Command } from '@/components/command.tsx';
import { Notice } from '@/components/notice.tsx';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Analytics } from '@/lib/store/analytics.ts';
import { DayTable } from './day-table.tsx';
import { queueDays } from './queue-days.ts';
import { UptimeTable } from './uptime-table.tsx';

interface DaysProps {
  data: Analytics;
  /** The scheme and host of this app. */
  address: string;
  /** Also shows monitors that were always up. */
  hasAllMonitors: boolean;
}

/** Draws the outcomes of each queue by day, from the last roll-up. */
export function Days({ data, address, hasAllMonitors }: DaysProps) {
  const days = queueDays(data);
  return (
    <>
      <Section
        id="days"
        heading="Days"
        aside={
          data.rolled_at && (
            <p className="text-muted">
              in {data.time_zone}, rolled up <RelativeTime at={data.rolled_at} />
            </p>
          )
        }
      >
        {data.problems.map(({ queue, problem }) => (
          <Notice key={queue} tone="warn" heading={`${queue} could not be rolled up`}>
            {problem}
          </Notice>
        ))}
        {data.rolled_at === null && <NoDays address={address} />}
        {data.rolled_at && days.length === 0 && <p className="text-muted">No day has outcomes yet.</p>}
        {days.length > 0 && (
          <div>
            <DayTable days={days} />
          </div>
        )}
      </Section>
      <UptimeTable monitors={data.monitors} isWhole={hasAllMonitors} />
    </>
  );
}

function NoDays({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        No day has been rolled up yet. A scheduler does this once a night. To do it now:
      </p>
      <Command>{`curl ${address}/api/cron/analytics \\
  -H "Authorization: Bearer $CRON_SECRET"`}</Command>
    </div>
  );
}
