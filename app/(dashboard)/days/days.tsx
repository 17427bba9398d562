import useSWR from 'swr';
import { fetchJson } from '@/components/api/fetch-json';
import { polling } from '@/components/api/polling';
import { ReadingFault } from '@/components/api/reading-fault';
import { Command } from '@/components/command';
import { Notice } from '@/components/notice';
import { RelativeTime } from '@/components/time/relative-time';
import type { Analytics } from '@/lib/store/analytics';
import { dayLines } from './day-lines';
import { DayTable } from './day-table';
import { UptimeTable } from './uptime-table';

/** A clock rolls up once a night, a person now and then. */
const REFRESH_MS = 10_000;

interface DaysProps {
  /** What the server knew as it rendered the page. */
  first?: Analytics;
  /** Scheme and host of this app. */
  address: string;
}

/** What every queue did day by day, as it was last rolled up. */
export function Days({ first, address }: DaysProps) {
  const { data, error } = useSWR<Analytics, Error>('/api/analytics', fetchJson, {
    ...polling,
    refreshInterval: REFRESH_MS,
    fallbackData: first,
  });
  const lines = data ? dayLines(data) : [];
  return (
    <section aria-labelledby="days" className="rounded-xl border border-line bg-surface">
      <header className="flex flex-wrap items-baseline gap-x-4 gap-y-1 border-b border-line px-4 py-4 sm:px-6">
        <h2 id="days" className="scroll-mt-4 text-base font-semibold tracking-tight">
          Days
        </h2>
        {data?.rolled_at && (
          <p className="text-muted">
            of {data.time_zone}, rolled up <RelativeTime at={data.rolled_at} />
          </p>
        )}
      </header>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-6 px-4 py-4 sm:px-6">
        {error && <ReadingFault error={error} />}
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
      </div>
    </section>
  );
}

function HowToBegin({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">No day was rolled up yet. A clock does it once a night; by hand:</p>
      <Command>{`curl ${address}/api/cron/analytics \\
  -H "Authorization: Bearer $CRON_SECRET"`}</Command>
    </div>
  );
}
