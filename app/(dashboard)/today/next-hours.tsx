import Link from 'next/link';
import { LINK, queueHref, rowsHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import type { Forecast } from '@/lib/stats/forecast.ts';
import { enoughInWords, hoursInWords } from './enough-in-words.ts';

/** Draws for each queue with accounts what falls due in the next six hours beside what the accounts may send. Draws nothing if nothing falls due. */
export function NextHours({ forecast }: { forecast: Forecast[] }) {
  if (forecast.length === 0) return null;
  const columns: Column<Forecast>[] = [
    {
      head: 'queue',
      isRowHead: true,
      cell: ({ queue }) => (
        <Link href={queueHref(queue)} prefetch={false} className={`font-semibold wrap-anywhere ${LINK}`}>
          {queue}
        </Link>
      ),
    },
    {
      head: 'falls due',
      meaning: 'Rows by hour. The first hour has those that are due already.',
      cell: (one) => (
        <Link
          href={rowsHref(one.queue, { status: 'pending', due_to: endOf(one) })}
          prefetch={false}
          className="inline-block"
        >
          <Bars of={one} kind="due" fill="var(--busy)" />
        </Link>
      ),
    },
    {
      head: 'may be sent',
      meaning: 'What the accounts of these rows may send by their limits, gaps and hours. An estimate.',
      cell: (one) => <Bars of={one} kind="may" fill="var(--good-bar)" />,
    },
    {
      head: 'is it enough',
      meaning: 'Whether each account can send its rows in these hours. Those that are short go later.',
      cell: (one) => (
        <span className={one.short > 0 ? 'font-semibold text-warn' : 'text-good'}>{enoughInWords(one)}</span>
      ),
    },
  ];
  return (
    <Section id="next-hours" heading="Next six hours">
      <div>
        <Table label="Next six hours" items={forecast} columns={columns} keyOf={({ queue }) => queue} />
      </div>
    </Section>
  );
}

function endOf({ hours }: Forecast): string | undefined {
  const last = hours.at(-1);
  return last && new Date(Date.parse(last.at) + 3_600_000).toISOString();
}

/** Both charts of a queue have the same scale, which ends at what is due: more room than that says nothing. */
function Bars({ of: { hours }, kind, fill }: { of: Forecast; kind: 'due' | 'may'; fill: string }) {
  const peak = Math.max(1, ...hours.map(({ due }) => due));
  const said = hoursInWords(hours.map((hour) => hour[kind]));
  return (
    <span className="flex flex-col max-md:items-end">
      <svg
        role="img"
        aria-label={`By hour: ${said}`}
        viewBox={`0 0 ${hours.length} 100`}
        preserveAspectRatio="none"
        className="h-6 w-36 border-b border-line-strong"
      >
        {hours.map((hour, n) => {
          const height =
            hour[kind] === 0 ? 0 : Math.max(5, Math.round((Math.min(hour[kind], peak) / peak) * 96));
          return <path key={hour.at} d={`M${n + 0.12} 100v-${height}h.76v${height}z`} fill={fill} />;
        })}
      </svg>
      <span aria-hidden="true" className="text-xs text-muted">
        {said}
      </span>
    </span>
  );
}
