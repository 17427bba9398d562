import { useState } from 'react';
import { useReading } from '@/components/api/use-reading';
import { Command } from '@/components/command';
import { ShowMore } from '@/components/lists/show-more';
import { Panel } from '@/components/panel';
import type { Clocks as Reading } from '@/lib/cron/slots/clocks';
import { inOrder } from './clock-order';
import { ClockTable } from './clock-table';

/** Slots come once a minute, as a rule. */
const REFRESH_MS = 30_000;
/** Shown unasked, those that most need to be seen. */
const FEW = 8;

interface ClocksProps {
  /** What the server knew as it rendered the page. */
  first?: Reading;
  /** Scheme and host of this app. */
  address: string;
}

/** Which slots of their schedules clocks delivered, and which they did not. */
export function Clocks({ first, address }: ClocksProps) {
  const [all, setAll] = useState(false);
  const { data, error } = useReading<Reading>('/api/clocks', { first, everyMs: REFRESH_MS });
  const clocks = inOrder(data?.clocks ?? []);
  const shown = all ? clocks : clocks.slice(0, FEW);
  return (
    <Panel
      id="clocks"
      heading="Clocks"
      aside={clocks.length > 0 && <p className="text-muted">and the slots of their schedules</p>}
      spacing="gap-4 py-4"
      error={error}
    >
      {data && clocks.length === 0 && <HowToBegin address={address} />}
      {clocks.length > 0 && (
        <div>
          <ClockTable clocks={shown} />
          <ShowMore all={all} hidden={clocks.length - Math.min(clocks.length, FEW)} onChange={setAll} />
        </div>
      )}
    </Panel>
  );
}

function HowToBegin({ address }: { address: string }) {
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-2">
      <p className="text-muted">
        No clock has called yet that says its schedule. Vercel Cron does so by itself;{' '}
        <code className="font-mono text-[0.8125rem] text-ink">docs/clocks.md</code> tells how to set up
        pg_cron, the worker and others. A line of a crontab is a clock, too:
      </p>
      {/* Cron knows no line that goes on in the next, and takes a bare % for one that ends. */}
      <Command>{`CRON_SECRET=…
* * * * * curl -s -o /dev/null -H "Authorization: Bearer $CRON_SECRET" -H "x-punctual-clock: crontab" -H "x-punctual-schedule: * * * * *" -H "x-punctual-slot: $(date -u +\\%FT\\%H:\\%M:00Z)" ${address}/api/cron/dm-queue`}</Command>
    </div>
  );
}
