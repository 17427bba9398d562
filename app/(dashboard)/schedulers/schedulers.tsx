import { useState } from 'react';
import { usePolling } from '@/components/api/use-polling.ts';
import { Command } from '@/components/command.tsx';
import { ShowMore } from '@/components/lists/show-more.tsx';
import { Panel } from '@/components/panel.tsx';
import type { Coverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { SchedulerTable } from './scheduler-table.tsx';
import { sortSchedulers } from './sort-schedulers.ts';

/** Most schedules have one slot a minute. */
const REFRESH_MS = 30_000;
/** Schedulers that are shown at first. The worst come first. */
const FIRST_SHOWN = 8;

interface SchedulersProps {
  /** Read by the server when it rendered the page. */
  initial?: Coverage;
  /** The scheme and host of this app. */
  address: string;
}

/** Draws the slots that each scheduler delivered or missed. */
export function Schedulers({ initial, address }: SchedulersProps) {
  const [isExpanded, setIsExpanded] = useState(false);
  const { data, error } = usePolling<Coverage>('/api/schedulers', { initial, everyMs: REFRESH_MS });
  const schedulers = sortSchedulers(data?.schedulers ?? []);
  const shown = isExpanded ? schedulers : schedulers.slice(0, FIRST_SHOWN);
  return (
    <Panel
      id="schedulers"
      heading="Schedulers"
      aside={schedulers.length > 0 && <p className="text-muted">which slots each one delivered</p>}
      spacing="gap-4 py-4"
      error={error}
    >
      {data && schedulers.length === 0 && <NoSchedulers address={address} />}
      {schedulers.length > 0 && (
        <div>
          <SchedulerTable schedulers={shown} />
          <ShowMore
            isExpanded={isExpanded}
            hidden={schedulers.length - Math.min(schedulers.length, FIRST_SHOWN)}
            onChange={setIsExpanded}
          />
        </div>
      )}
    </Panel>
  );
}

function NoSchedulers({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        No scheduler has sent its schedule yet. Vercel Cron sends it by itself.{' '}
        <code className="font-mono text-[0.8125rem] text-ink">docs/schedulers.md</code> says how to set up
        pg_cron, the worker and others. A crontab entry works too:
      </p>
      {/* A crontab entry is one line, and cron reads an unescaped % as the end of the line. */}
      <Command>{`CRON_SECRET=…
* * * * * curl -s -o /dev/null -H "Authorization: Bearer $CRON_SECRET" -H "x-punctual-scheduler: crontab" -H "x-punctual-schedule: * * * * *" -H "x-punctual-slot: $(date -u +\\%FT\\%H:\\%M:00Z)" ${address}/api/cron/dm-queue`}</Command>
    </div>
  );
}
