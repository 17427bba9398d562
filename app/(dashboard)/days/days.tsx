import { usePolling } from '@/components/api/use-polling.ts';
import { Command } from '@/components/command.tsx';
import { Notice } from '@/components/notice.tsx';
import { Panel } from '@/components/panel.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Analytics } from '@/lib/store/analytics.ts';
import { DayTable } from './day-table.tsx';
import { queueDays } from './queue-days.ts';
import { UptimeTable } from './uptime-table.tsx';

/** Figures change only with a roll-up: a scheduler's once a night, or a person's. */
const REFRESH_MS = 10_000;

interface DaysProps {
  /** Read by the server when it rendered the page. */
  initial?: Analytics;
  /** The scheme and host of this app. */
  address: string;
}

/** Draws the outcomes of each queue by day, from the last roll-up. */
export function Days({ initial, address }: DaysProps) {
  const { data, error } = usePolling<Analytics>('/api/analytics', { initial, everyMs: REFRESH_MS });
  const days = data ? queueDays(data) : [];
  return (
    <Panel
      id="days"
      heading="Days"
      aside={
        data?.rolled_at && (
          <p className="text-muted">
            in {data.time_zone}, rolled up <RelativeTime at={data.rolled_at} />
          </p>
        )
      }
      spacing="gap-6 py-4"
      error={error}
    >
      {data?.problems.map(({ queue, problem }) => (
        <Notice key={queue} tone="warn" heading={`${queue} could not be rolled up`}>
          {problem}
        </Notice>
      ))}
      {data && data.rolled_at === null && <NoDays address={address} />}
      {data?.rolled_at && days.length === 0 && <p className="text-muted">No day has outcomes yet.</p>}
      {days.length > 0 && (
        <div>
          <DayTable days={days} />
        </div>
      )}
      {data && <UptimeTable monitors={data.monitors} />}
    </Panel>
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
