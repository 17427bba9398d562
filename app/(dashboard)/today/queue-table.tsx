import Link from 'next/link';
import { CountText } from '@/components/count-text.tsx';
import { LINK, queueHref, rowsHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { settledBars, settledInWords } from '@/components/settled/settled.ts';
import { SettledChart } from '@/components/settled/settled-chart.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { emptyAt } from './empty-at.ts';

const hourMs = 3_600_000;

/** Draws a line for each queue: what is due, since when, what the day brought, and when nothing is left. */
export function QueueTable({ queues, now }: { queues: QueueStats[]; now: string }) {
  if (queues.length === 0) return null;
  const columns: Column<QueueStats>[] = [
    { head: 'queue', isRowHead: true, cell: (queue) => <Name queue={queue} /> },
    {
      head: 'due',
      isNumber: true,
      cell: ({ due_now }) => (
        <span className={due_now.count > 0 ? 'font-semibold' : 'text-muted'}>
          <CountText of={due_now} />
        </span>
      ),
    },
    { head: 'oldest', cell: ({ oldest_due_seconds: seconds }) => <Oldest seconds={seconds} now={now} /> },
    {
      head: 'running',
      isNumber: true,
      cell: ({ states: { running } }) => (
        <span className={running.count > 0 ? 'text-busy' : 'text-muted'}>
          <CountText of={running} />
        </span>
      ),
    },
    { head: 'last 24 h', className: 'lg:w-[22%]', cell: (queue) => <Day queue={queue} now={now} /> },
    {
      head: 'failed',
      isNumber: true,
      meaning: 'Rows that failed for good in the last 24 hours.',
      cell: (queue) => <Failed queue={queue} />,
    },
    {
      head: 'last tick',
      cell: ({ last_tick: tick }) => (tick ? <RelativeTime at={tick.started_at} /> : <None words="never" />),
    },
    {
      head: 'empty at',
      meaning: 'When no row is due any more, at the pace of the last hour.',
      cell: (queue) => <Empty at={emptyAt(queue, now)} />,
    },
  ];
  return (
    <Section id="queues" heading="Queues">
      <div>
        <Table label="Queues" items={queues} columns={columns} keyOf={({ name }) => name} />
      </div>
    </Section>
  );
}

function Name({ queue: { name, paused_at } }: { queue: QueueStats }) {
  return (
    <>
      <Link href={queueHref(name)} prefetch={false} className={`font-semibold wrap-anywhere ${LINK}`}>
        {name}
      </Link>
      {paused_at !== null && <span className="ml-2 text-warn">paused</span>}
    </>
  );
}

function Oldest({ seconds, now }: { seconds: number | null; now: string }) {
  if (seconds === null) return <None />;
  return <RelativeTime at={new Date(Date.parse(now) - seconds * 1_000).toISOString()} as="age" />;
}

function Day({ queue: { day, words }, now }: { queue: QueueStats; now: string }) {
  const said = settledInWords(day, words);
  return (
    <span className="flex flex-col max-lg:items-end">
      {day.length > 0 && (
        <SettledChart
          bars={settledBars(day, now, 24, hourMs)}
          label={`By hour: ${said}`}
          className="h-6 w-36 border-b border-line-strong lg:w-full"
        />
      )}
      <span className="text-xs text-muted">{said}</span>
    </span>
  );
}

function Failed({ queue: { name, failed, words } }: { queue: QueueStats }) {
  if (failed.rows === 0) return <span className="text-muted">0</span>;
  return (
    <Link
      href={rowsHref(name, { status: words.dead })}
      prefetch={false}
      className="font-semibold text-bad underline underline-offset-4"
    >
      {failed.rows >= 10_000 ? '9,999+' : failed.rows.toLocaleString('en-US')}
      <span className="sr-only"> of {name}</span>
    </Link>
  );
}

function Empty({ at }: { at: ReturnType<typeof emptyAt> }) {
  if (at === 'empty') return <None />;
  return at === 'unknown' ? <None words="not known" /> : <ClockTime at={at} />;
}

function None({ words = '–' }: { words?: string }) {
  return <span className="text-muted">{words}</span>;
}
