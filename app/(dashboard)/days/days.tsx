import { useReading } from '@/components/api/use-reading';
import { Command } from '@/components/command';
import { Notice } from '@/components/notice';
import { Panel } from '@/components/panel';
import { RelativeTime } from '@/components/time/relative-time';
import type { Analytics } from '@/lib/store/analytics';
import { dayLines } from './day-lines';
import { DayTable } from './day-table';
import { UptimeTable } from './uptime-table';

/** A scheduler rolls up once a night, a person now and then. */
const REFRESH_MS = 10_000;

interface DaysProps {
  /** What the server knew as it rendered the page. */
  first?: Analytics;
  /** Scheme and host of this app. */
  address: string;
}

/** What every queue did day by day, as it was last rolled up. */
export function Days({ first, address }: DaysProps) {
  const { data, error } = useReading<Analytics>('/api/analytics', { first, everyMs: REFRESH_MS });
  const lines = data ? dayLines(data) : [];
  return (
    <Panel
      id="days"
      heading="Days"
      aside={
        data?.rolled_at && (
          <p className="text-muted">
            of {data.time_zone}, rolled up <RelativeTime at={data.rolled_at} />
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
      {data && data.rolled_at === null && <HowToBegin address={address} />}
      {data?.rolled_at && lines.length === 0 && (
        <p className="text-muted">Nothing was done on any day yet.</p>
      )}
      {lines.length > 0 && (
        <div>
          <DayTable lines={lines} />
        </div>
      )}
      {data && <UptimeTable monitors={data.monitors} />}
    </Panel>
  );
}

function HowToBegin({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">No day was rolled up yet. A scheduler does it once a night; by hand:</p>
      <Command>{`curl ${address}/api/cron/analytics \\
  -H "Authorization: Bearer $CRON_SECRET"`}</Command>
    </div>
  );
}
