'use client';

import { usePolling } from '@/components/api/use-polling.ts';
import { BrandMark } from '@/components/brand-mark.tsx';
import { ServerNow } from '@/components/time/server-now.tsx';
import type { Coverage } from '@/lib/cron/slots/schedule-coverage.ts';
import type { Analytics } from '@/lib/store/analytics.ts';
import type { Monitoring } from '@/lib/store/monitoring.ts';
import type { Stats } from '@/lib/store/stats.ts';
import { Days } from './days/days.tsx';
import { FirstSteps } from './first-steps.tsx';
import { Freshness } from './freshness.tsx';
import { Monitors } from './monitors/monitors.tsx';
import { Overview } from './overview/overview.tsx';
import { PausedProviders } from './paused-providers.tsx';
import { QueuePanel } from './queue/queue-panel.tsx';
import { Schedulers } from './schedulers/schedulers.tsx';
import { Sequences, type SequencesPage } from './sequences/sequences.tsx';
import { StaleNotice } from './stale-notice.tsx';

/** What the server read when it rendered the page. `failure` says why there are no stats. */
export interface InitialData {
  stats?: Stats;
  monitoring?: Monitoring;
  analytics?: Analytics;
  schedulers?: Coverage;
  sequences?: SequencesPage;
  failure?: string;
}

interface DashboardProps {
  initial: InitialData;
  /** The scheme and host of this app. */
  address: string;
  signedIn: boolean;
}

/** Draws the page and polls its stats. Each other section polls its own figures. */
export function Dashboard({ initial, address, signedIn }: DashboardProps) {
  const { data: stats, error } = usePolling<Stats>('/api/stats', { initial: initial.stats });
  const failure = error?.message ?? (stats ? null : (initial.failure ?? null));
  const readAt = stats?.now ?? null;

  return (
    <ServerNow readAt={readAt ?? '1970-01-01T00:00:00Z'}>
      <header className="border-b border-line bg-surface">
        <div className="mx-auto flex min-h-14 max-w-6xl items-center gap-4 px-4 sm:px-6">
          <h1 className="flex">
            <BrandMark />
          </h1>
          <Freshness failing={failure !== null} />
          {signedIn && (
            <form action="/api/session/end" method="post" className="ml-auto">
              <button type="submit" className="cursor-pointer rounded-md py-2 text-muted hover:text-ink">
                Sign out
              </button>
            </form>
          )}
        </div>
      </header>
      <main className="mx-auto grid max-w-6xl grid-cols-[minmax(0,1fr)] gap-6 px-4 py-6 sm:px-6 sm:py-8">
        {failure !== null && <StaleNotice failure={failure} readAt={readAt} />}
        {stats && (
          <>
            <PausedProviders providers={stats.providers} />
            <FirstSteps queues={stats.queues} address={address} />
            <Overview queues={stats.queues} now={stats.now} />
            <Schedulers initial={initial.schedulers} address={address} />
            <Sequences initial={initial.sequences} address={address} signedIn={signedIn} />
            <Monitors initial={initial.monitoring} address={address} />
            <Days initial={initial.analytics} address={address} />
            {stats.queues.map((queue) => (
              <QueuePanel
                key={queue.name}
                queue={queue}
                now={stats.now}
                address={address}
                signedIn={signedIn}
              />
            ))}
          </>
        )}
      </main>
    </ServerNow>
  );
}
