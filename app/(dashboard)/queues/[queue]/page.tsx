import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { readQueue, readRows, readTicks } from '../../dal/queues.ts';
import { readAddress, readVisitor } from '../../dal/visitor.ts';
import { Part } from '../../shell/part.tsx';
import { oneOf } from '../../shell/query.ts';
import { BeingChecked, NeedsYou } from './needs-you/needs-you.tsx';
import { QueueHeader } from './queue-header.tsx';
import { QueueOverview } from './queue-overview.tsx';
import { TickTable } from './ticks/tick-table.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]'>) {
  return { title: (await params).queue };
}

/** Shows one queue: its figures, and what waits for a person. */
export default async function QueuePage({ params, searchParams }: PageProps<'/queues/[queue]'>) {
  const { queue: name } = await params;
  const { cursor } = oneOf(await searchParams);
  const [address, { mayAct }] = await Promise.all([readAddress(), readVisitor()]);
  const readUnknown = (queue: QueueStats) => () => readRows(name, { status: queue.words.unknown });
  const readWaiting = (queue: QueueStats) => () =>
    readRows(name, { status: queue.words.unknown, decide: 'true', cursor });
  return (
    <>
      <QueueHeader queue={name} tab="" title={name} />
      <Part read={() => readQueue(name)} height="h-96">
        {({ queue, now }) => (
          <>
            <NeedsYou queue={queue} address={address} mayAct={mayAct} readWaiting={readWaiting(queue)} />
            <QueueOverview queue={queue} now={now} />
            <BeingChecked queue={queue} mayAct={mayAct} readUnknown={readUnknown(queue)} />
          </>
        )}
      </Part>
      <Part
        read={async () => ({ ...(await readQueue(name)), ticks: await readTicks(name, { limit: '8' }) })}
        height="h-80"
      >
        {({ queue, ticks }) => (
          <TickTable heading="Last ticks" ticks={ticks.items} words={queue.words}>
            <Link href={queueHref(name, '/ticks')} prefetch={false} className={`${LINK} py-2`}>
              All ticks
            </Link>
          </TickTable>
        )}
      </Part>
    </>
  );
}
