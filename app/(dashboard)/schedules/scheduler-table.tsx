import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { type Column, Meanings, Table } from '@/components/lists/table.tsx';
import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage.ts';
import { LastSlot, SchedulerName, SLOT_KINDS, SlotCounts, SlotExceptions } from './scheduler-cells.tsx';

const columns: Column<ScheduleCoverage>[] = [
  {
    head: 'endpoint',
    isRowHead: true,
    className: 'lg:w-[30%]',
    cell: (scheduler) => <SchedulerName of={scheduler} />,
  },
  {
    head: 'queue',
    cell: ({ queues }) =>
      queues.map((queue) => (
        <span key={queue} className="block">
          <Link href={queueHref(queue)} prefetch={false} className={LINK}>
            {queue}
          </Link>
        </span>
      )),
  },
  { head: 'last slot', cell: (scheduler) => <LastSlot of={scheduler} /> },
  { head: 'slots, last 24 h', cell: (scheduler) => <SlotCounts of={scheduler} /> },
  { head: 'exceptions', className: 'lg:w-[24%]', cell: (scheduler) => <SlotExceptions of={scheduler} /> },
];

const GUESSED =
  'This scheduler does not name the slot of a call, so the latest slot before the call is assumed. A call that is late by more than one interval counts for a later slot.';

/** Draws schedulers, one a line. */
export function SchedulerTable({ schedulers }: { schedulers: ScheduleCoverage[] }) {
  return (
    <>
      <Table
        label="Schedulers"
        items={schedulers}
        columns={columns}
        keyOf={({ scheduler, path, schedule }) => `${scheduler} ${path} ${schedule}`}
      />
      <Meanings
        label="What the words mean"
        of={[
          ...SLOT_KINDS.map(({ label, meaning }) => ({ word: label, meaning })),
          {
            word: 'silent',
            meaning: 'two of its slots have passed without a call, and nothing else calls the path',
          },
          { word: 'slots guessed', meaning: GUESSED },
        ]}
      />
    </>
  );
}
