import { useReading } from '@/components/api/use-reading';
import { Command } from '@/components/command';
import { Panel } from '@/components/panel';
import type { Monitoring } from '@/lib/store/monitoring';
import { ClosedIncidents, OpenIncidents } from './incident-list';
import { MonitorCounts } from './monitor-counts';
import { isWell } from './monitor-notes';
import { MonitorTable } from './monitor-table';
import { RegionList } from './region-list';
import { WellMonitors } from './well-monitors';

/** The most open incidents that the route answers. */
const MOST_OPEN = 20;

interface MonitorsProps {
  /** What the server knew as it rendered the page. */
  first?: Monitoring;
  /** Scheme and host of this app. */
  address: string;
}

/** All monitors, their incidents and their regions at one look. */
export function Monitors({ first, address }: MonitorsProps) {
  const { data, error } = useReading<Monitoring>('/api/monitoring', { first });
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
      {data && total === 0 && <HowToBegin address={address} />}
      {data && total > 0 && <Figures data={data} total={total} />}
    </Panel>
  );
}

function Figures({ data: { incidents, regions, monitors }, total }: { data: Monitoring; total: number }) {
  const troubled = monitors.filter((monitor) => !isWell(monitor));
  const well = monitors.filter(isWell);
  return (
    <>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-x-10 gap-y-7 lg:grid-cols-2">
        <OpenIncidents incidents={incidents.open} more={incidents.open.length >= MOST_OPEN} />
        <ClosedIncidents incidents={incidents.recent} />
      </div>
      <RegionList regions={regions} />
      {troubled.length > 0 && (
        <section aria-labelledby="troubled-monitors">
          <h3 id="troubled-monitors" className="font-semibold">
            To look at
          </h3>
          <MonitorTable monitors={troubled} />
        </section>
      )}
      {well.length > 0 && (
        <section aria-labelledby="well-monitors">
          <h3 id="well-monitors" className="font-semibold">
            Up
          </h3>
          <WellMonitors monitors={well} />
        </section>
      )}
      {total > monitors.length && (
        <p className="text-muted">
          These are the worst {monitors.length} of {total.toLocaleString('en-US')}; GET /api/monitors lists
          all.
        </p>
      )}
    </>
  );
}

function HowToBegin({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        Nothing is monitored yet. A monitor is checked every minute, or as often as its{' '}
        <code className="font-mono text-[0.8125rem] text-ink">interval_seconds</code> says:
      </p>
      <Command>{`curl -X POST ${address}/api/monitors \\
  -H "Authorization: Bearer $API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{ "name": "Shop", "url": "https://shop.example.com/" }'`}</Command>
    </div>
  );
}
