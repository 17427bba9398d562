import { readQueue, readTickOf } from '../../../../dal/queues.ts';
import { Part } from '../../../../shell/part.tsx';
import { QueueHeader } from '../../queue-header.tsx';
import { TickFacts } from './tick-facts.tsx';
import { TickReport } from './tick-report.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/ticks/[id]'>) {
  return { title: `Tick ${(await params).id.slice(0, 8)}` };
}

/** Answers: what did a tick do, and why did it end? */
export default async function TickPage({ params }: PageProps<'/queues/[queue]/ticks/[id]'>) {
  const { queue: name, id } = await params;
  const read = async () => ({ ...(await readTickOf(name, id)), words: (await readQueue(name)).queue.words });
  return (
    <>
      <QueueHeader queue={name} tab="/ticks" title={`Tick ${id.slice(0, 8)}`} isBelow />
      <Part read={read} height="h-96">
        {({ tick, run, words }) => (
          <>
            <TickFacts tick={tick} run={run} words={words} />
            <TickReport tick={tick} />
          </>
        )}
      </Part>
    </>
  );
}
