import { usePolling } from '@/components/api/use-polling.ts';
import { Command } from '@/components/command.tsx';
import { Panel } from '@/components/panel.tsx';
import type { Monitoring } from '@/lib/store/monitoring.ts';
import { HealthyMonitors } from './healthy-monitors.tsx';
import { ClosedIncidents, OpenIncidents } from './incident-list.tsx';
import { MonitorCounts } from './monitor-counts.tsx';
import { isHealthy } from './monitor-notes.ts';
import { MonitorTable } from './monitor-table.tsx';
import { RegionList } from './region-list.tsx';

/** The route returns this many open incidents at most. */
const MAX_OPEN = 20;

interface MonitorsProps {
  /** Read by the server when it rendered the page. */
  initial?: Monitoring;
  /** The scheme and host of this app. */
  address: string;
}

/** Draws all monitors, their incidents and their regions. */
export function Monitors({ initial, address }: MonitorsProps) {
  const { data, error } = usePolling<Monitoring>('/api/monitoring', { initial });
  const total = data ? Object.values(data.counts).reduce((sum, count) => sum + count, 0) : 0;
  return (
    <Panel
      id="monitors"
      heading="Monitors"
      aside={data && total > 0 && <MonitorCounts counts={data.counts} />}
      headerClass="items-center gap-y-2"
      spacing="gap-7 py-5"
      error={error}
    >
      {data && total === 0 && <NoMonitors address={address} />}
      {data && total > 0 && <Figures data={data} total={total} />}
    </Panel>
  );
}

function Figures({ data: { incidents, regions, monitors }, total }: { data: Monitoring; total: number }) {
  const unhealthy = monitors.filter((monitor) => !isHealthy(monitor));
  const healthy = monitors.filter(isHealthy);
  return (
    <>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-x-10 gap-y-7 lg:grid-cols-2">
        <OpenIncidents incidents={incidents.open} more={incidents.open.length >= MAX_OPEN} />
        <ClosedIncidents incidents={incidents.recent} />
      </div>
      <RegionList regions={regions} />
      {unhealthy.length > 0 && (
        <section aria-labelledby="unhealthy-monitors">
          <h3 id="unhealthy-monitors" className="font-semibold">
            Needs attention
          </h3>
          <MonitorTable monitors={unhealthy} />
        </section>
      )}
      {healthy.length > 0 && (
        <section aria-labelledby="healthy-monitors">
          <h3 id="healthy-monitors" className="font-semibold">
            Up
          </h3>
          <HealthyMonitors monitors={healthy} />
        </section>
      )}
      {total > monitors.length && (
        <p className="text-muted">
          Only the worst {monitors.length} of {total.toLocaleString('en-US')} are shown. GET /api/monitors
          lists all.
        </p>
      )}
    </>
  );
}

function NoMonitors({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        There are no monitors yet. A monitor is checked every minute, unless you set its{' '}
        <code className="font-mono text-[0.8125rem] text-ink">interval_seconds</code>. To add one:
      </p>
      <Command>{`curl -X POST ${address}/api/monitors \\
  -H "Authorization: Bearer $API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{ "name": "Shop", "url": "https://shop.example.com/" }'`}</Command>
    </div>
  );
}
