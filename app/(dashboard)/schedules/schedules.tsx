import { Command } from '@/components/command.tsx';
import { Section } from '@/components/section.tsx';
import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { SchedulerTable } from './scheduler-table.tsx';
import { sortSchedulers } from './sort-schedulers.ts';

interface SchedulesProps {
  schedulers: ScheduleCoverage[];
  /** The scheme and host of this app. */
  address: string;
}

/** Draws the slots that each scheduler delivered or missed. */
export function Schedules({ schedulers, address }: SchedulesProps) {
  return (
    <Section
      id="schedulers"
      heading="Schedulers"
      aside={schedulers.length > 0 && <p className="text-muted">which slots each one delivered</p>}
    >
      {schedulers.length === 0 ? (
        <NoSchedulers address={address} />
      ) : (
        <div>
          <SchedulerTable schedulers={sortSchedulers(schedulers)} />
        </div>
      )}
    </Section>
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
