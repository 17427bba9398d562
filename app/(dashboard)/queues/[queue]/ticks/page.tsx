import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { readQueue, readTicks } from '../../../dal/queues.ts';
import { Part } from '../../../shell/part.tsx';
import { oneOf } from '../../../shell/query.ts';
import { QueueHeader } from '../queue-header.tsx';
import { TickTable } from './tick-table.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/ticks'>) {
  return { title: `Ticks of ${(await params).queue}` };
}

/** Lists the ticks of a queue, the latest first. */
export default async function TicksPage({ params, searchParams }: PageProps<'/queues/[queue]/ticks'>) {
  const { queue: name } = await params;
  const { cursor, idle: given } = oneOf(await searchParams);
  const idle = given === 'true';
  const first = queueHref(name, idle ? '/ticks?idle=true' : '/ticks');
  const read = async () => ({
    ...(await readQueue(name)),
    ticks: await readTicks(name, { idle: String(idle), cursor }),
  });
  return (
    <>
      <QueueHeader queue={name} tab="/ticks" title="Ticks" />
      <Part read={read} height="h-screen">
        {({ queue, ticks: { items, next } }) => (
          <TickTable
            heading={idle ? 'All ticks' : 'Ticks that did something'}
            ticks={items}
            words={queue.words}
          >
            <PageLinks
              first={cursor ? first : null}
              next={next && `${first}${idle ? '&' : '?'}cursor=${next}`}
            />
            <p className="mt-2">
              <Link
                href={queueHref(name, idle ? '/ticks' : '/ticks?idle=true')}
                prefetch={false}
                className={LINK}
              >
                {idle ? 'Only ticks that did something' : 'Also idle and skipped ticks'}
              </Link>
            </p>
          </TickTable>
        )}
      </Part>
    </>
  );
}
