import { redirect } from 'next/navigation';
import { rowsHref } from '@/components/link.ts';
import { readAccounts, readChart, readQueue, readRows } from '../../../dal/queues.ts';
import { readVisitor } from '../../../dal/visitor.ts';
import { Part } from '../../../shell/part.tsx';
import { oneOf } from '../../../shell/query.ts';
import { QueueHeader } from '../queue-header.tsx';
import { chartRange } from './chart-range.ts';
import { readFilter } from './filter.ts';
import { FilterBar } from './filter-bar.tsx';
import { RowChart } from './row-chart.tsx';
import { pageSize, RowList } from './row-list.tsx';
import { StateTabs } from './state-tabs.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/rows'>) {
  return { title: `Rows of ${(await params).queue}` };
}

/** Answers: which rows, in which state, for whom? */
export default async function RowsPage({ params, searchParams }: PageProps<'/queues/[queue]/rows'>) {
  const { queue: name } = await params;
  const query = oneOf(await searchParams);
  const filter = readFilter(query);
  // A form sends its empty fields. The address that people share is short.
  if (Object.values(query).includes('')) redirect(rowsHref(name, filter));
  const { mayAct } = await readVisitor();
  const { cursor } = query;
  const read = () => readRows(name, { ...filter, cursor, count: 'true', limit: `${pageSize}` });
  return (
    <>
      <QueueHeader queue={name} tab="/rows" title="Rows" />
      <Part read={async () => ({ ...(await readQueue(name)), accounts: await readAccounts() })} height="h-32">
        {({ queue, accounts }) => (
          <>
            <StateTabs queue={queue} filter={filter} />
            <FilterBar queue={queue} filter={filter} accounts={accounts} />
            <Part
              key={`chart ${JSON.stringify(filter)}`}
              read={() => readChart(name, filter, chartRange(filter, Date.now()))}
              height="h-32"
            >
              {(chart) => <RowChart queue={queue} filter={filter} chart={chart} />}
            </Part>
            <Part key={JSON.stringify([filter, cursor])} read={read} height="h-screen">
              {(page) => (
                <RowList queue={queue} filter={filter} page={page} isFirst={!cursor} mayAct={mayAct} />
              )}
            </Part>
          </>
        )}
      </Part>
    </>
  );
}
