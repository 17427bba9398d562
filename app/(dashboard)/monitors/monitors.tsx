import { Command } from '@/components/command.tsx';
import { Section } from '@/components/section.tsx';
import type { Monitoring } from '@/lib/store/monitoring.ts';
import { ClosedIncidents, OpenIncidents } from './incident-list.tsx';
import { MonitorCounts } from './monitor-counts.tsx';
import { isHealthy } from './monitor-notes.ts';
import { MonitorTable } from './monitor-table.tsx';
import { RegionList } from './region-list.tsx';

/** The route returns this many open incidents at most. */
const MAX_OPEN = 20;

interface MonitorsProps {
  data: Monitoring;
  /** The scheme and host of this app. */
  address: string;
}

/** Draws all monitors, their incidents and their regions. */
export function Monitors({ data: { counts, incidents, regions, monitors }, address }: MonitorsProps) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (total === 0) return <NoMonitors address={address} />;
  const unhealthy = monitors.filter((monitor) => !isHealthy(monitor));
  const healthy = monitors.filter(isHealthy);
  return (
    <>
      <MonitorCounts counts={counts} />
      <div className="grid grid-cols-[minmax(0,1fr)] gap-5 lg:grid-cols-2">
        <OpenIncidents incidents={incidents.open} more={incidents.open.length >= MAX_OPEN} />
        <ClosedIncidents incidents={incidents.recent} />
      </div>
      {unhealthy.length > 0 && (
        <Section id="unhealthy-monitors" heading="Needs attention">
          <MonitorTable label="Monitors that need attention" monitors={unhealthy} />
        </Section>
      )}
      {healthy.length > 0 && (
        <Section id="healthy-monitors" heading="Up">
          <MonitorTable label="Monitors that are up" monitors={healthy} isHealthy />
        </Section>
      )}
      {total > monitors.length && (
        <p className="text-muted">
          Only the worst {monitors.length} of {total.toLocaleString('en-US')} are shown. GET /api/monitors
          lists all.
        </p>
      )}
      <RegionList regions={regions} />
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
