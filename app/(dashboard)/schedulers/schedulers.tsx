import { useState } from 'react';
import { useReading } from '@/components/api/use-reading';
import { Command } from '@/components/command';
import { ShowMore } from '@/components/lists/show-more';
import { Panel } from '@/components/panel';
import type { Coverage as Reading } from '@/lib/cron/slots/schedule-coverage';
import { inOrder } from './scheduler-order';
import { SchedulerTable } from './scheduler-table';

/** Slots come once a minute, as a rule. */
const REFRESH_MS = 30_000;
/** Shown unasked, those that most need to be seen. */
const FEW = 8;

interface SchedulersProps {
  /** What the server knew as it rendered the page. */
  first?: Reading;
  /** Scheme and host of this app. */
  address: string;
}

/** Which slots of their schedules schedulers delivered, and which they did not. */
export function Schedulers({ first, address }: SchedulersProps) {
  const [all, setAll] = useState(false);
  const { data, error } = useReading<Reading>('/api/schedulers', { first, everyMs: REFRESH_MS });
  const schedulers = inOrder(data?.schedulers ?? []);
  const shown = all ? schedulers : schedulers.slice(0, FEW);
  return (
    <Panel
      id="schedulers"
      heading="Schedulers"
      aside={schedulers.length > 0 && <p className="text-muted">and the slots of their schedules</p>}
      spacing="gap-4 py-4"
      error={error}
    >
      {data && schedulers.length === 0 && <HowToBegin address={address} />}
      {schedulers.length > 0 && (
        <div>
          <SchedulerTable schedulers={shown} />
          <ShowMore
            all={all}
            hidden={schedulers.length - Math.min(schedulers.length, FEW)}
            onChange={setAll}
          />
        </div>
      )}
    </Panel>
  );
}

function HowToBegin({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        No scheduler has called yet that says its schedule. Vercel Cron does so by itself;{' '}
        <code className="font-mono text-[0.8125rem] text-ink">docs/schedulers.md</code> tells how to set up
        pg_cron, the worker and others. A line of a crontab is a scheduler, too:
      </p>
      {/* Cron knows no line that goes on in the next, and takes a bare % for one that ends. */}
      <Command>{`CRON_SECRET=…
* * * * * curl -s -o /dev/null -H "Authorization: Bearer $CRON_SECRET" -H "x-punctual-scheduler: crontab" -H "x-punctual-schedule: * * * * *" -H "x-punctual-slot: $(date -u +\\%FT\\%H:\\%M:00Z)" ${address}/api/cron/dm-queue`}</Command>
    </div>
  );
}
