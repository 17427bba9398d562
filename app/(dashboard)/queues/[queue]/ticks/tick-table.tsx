import Link from 'next/link';
import type { ReactNode } from 'react';
import { LINK, queueHref } from '@/components/link.ts';
import { type Column, Meanings, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { OUTCOME_MEANINGS, TickOutcome } from '@/components/tick-outcome.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { shortMs } from '@/lib/stats/short-duration.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import type { LedgerTick } from '@/lib/store/ticks.ts';
import { reportFields } from './report-fields.ts';
import { TickBudget } from './tick-budget.tsx';
import { tickCounts } from './tick-counts.ts';

interface TickTableProps {
  heading: string;
  ticks: LedgerTick[];
  words: QueueStats['words'];
  /** Stands below the table. */
  children: ReactNode;
}

/** Draws ticks, each with a link to its own page. */
export function TickTable({ heading, ticks, words, children }: TickTableProps) {
  return (
    <Section id="ticks" heading={heading}>
      <div>
        {ticks.length === 0 ? (
          <p className="text-muted">
            No tick has done anything yet. If no scheduler calls this queue, docs/schedulers.md says how to
            set one up.
          </p>
        ) : (
          <>
            <Table label={heading} items={ticks} columns={columnsOf(words)} keyOf={({ id }) => id} />
            <Meanings
              label="What the outcomes mean"
              of={Object.entries(OUTCOME_MEANINGS).map(([word, meaning]) => ({ word, meaning }))}
            />
          </>
        )}
        {children}
      </div>
    </Section>
  );
}

function columnsOf(words: QueueStats['words']): Column<LedgerTick>[] {
  return [
    {
      head: 'started',
      isRowHead: true,
      cell: ({ id, queue, started_at }) => (
        <Link href={queueHref(queue, `/ticks/${id}`)} prefetch={false} className={`font-medium ${LINK}`}>
          <RelativeTime at={started_at} />
        </Link>
      ),
    },
    { head: 'outcome', cell: (tick) => <TickOutcome tick={tick} /> },
    { head: 'rows', cell: (tick) => <Counts tick={tick} words={words} /> },
    { head: 'ended', cell: ({ report }) => <Ended report={report} /> },
    {
      head: 'used of its budget',
      meaning: 'The time in which the tick starts rows and settles them.',
      cell: ({ report }) => <TickBudget {...reportFields(report)} />,
    },
    {
      head: 'p50 / p95',
      meaning: 'The median and the 95th percentile of the time of an attempt.',
      isNumber: true,
      cell: ({ report }) => <Percentiles of={reportFields(report).performMs} />,
    },
    { head: 'by', cell: (tick) => <By tick={tick} words={words} /> },
  ];
}

function Counts({ tick, words }: { tick: LedgerTick; words: QueueStats['words'] }) {
  const counts = tickCounts(tick, words);
  if (counts.length === 0) return <span className="text-muted">none</span>;
  return (
    <span className="inline-flex flex-wrap gap-x-3">
      {counts.map(({ key, count, label, tone }) => (
        <span key={key} className={`whitespace-nowrap ${tone}`}>
          {count.toLocaleString('en-US')} {label}
        </span>
      ))}
    </span>
  );
}

function Ended({ report }: Pick<LedgerTick, 'report'>) {
  if (report?.fault) return <span className="text-bad">with an error</span>;
  return <span className="text-muted">{reportFields(report).ended ?? '–'}</span>;
}

export function Percentiles({ of: { p50, p95 } }: { of: { p50: number | null; p95: number | null } }) {
  if (p50 === null) return <span className="text-muted">–</span>;
  return (
    <span className="whitespace-nowrap">
      {shortMs(p50)} / {shortMs(p95 ?? p50)}
    </span>
  );
}

function By({
  tick: { scheduler, partition, asked_for },
  words,
}: {
  tick: LedgerTick;
  words: QueueStats['words'];
}) {
  return (
    <span className="text-muted wrap-break-word">
      {scheduler}
      {partition !== 'main' && `, partition ${partition}`}
      {asked_for && `, on request: ${words[asked_for]} rows`}
    </span>
  );
}
