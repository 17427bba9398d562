import { readAccounts, readQueue, readStory } from '../../../../dal/queues.ts';
import { readVisitor } from '../../../../dal/visitor.ts';
import { Part } from '../../../../shell/part.tsx';
import { QueueHeader } from '../../queue-header.tsx';
import { Attempts } from './attempts.tsx';
import { Content } from './content.tsx';
import { MissingRow } from './missing-row.tsx';
import { Receipts } from './receipts.tsx';
import { RowNow } from './row-now.tsx';
import { SentOnce } from './sent-once.tsx';
import { Timeline } from './timeline.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/rows/[id]'>) {
  const { queue, id } = await params;
  return { title: `Row ${decodeURIComponent(id)} of ${queue}` };
}

/** Answers: what happened to this row, why is it not done yet, and was it sent once? */
export default async function RowPage({ params }: PageProps<'/queues/[queue]/rows/[id]'>) {
  const { queue: name, id: encoded } = await params;
  const id = decodeURIComponent(encoded);
  const { mayAct } = await readVisitor();
  const read = async () => ({
    ...(await readQueue(name)),
    accounts: await readAccounts(),
    found: await readStory(name, id),
  });
  return (
    <>
      <QueueHeader queue={name} tab="/rows" isBelow title={`Row ${id}`} />
      <Part read={read} height="h-screen">
        {({ queue, accounts, found }) =>
          found.story === null ? (
            <MissingRow queue={name} id={id} missing={found.missing} elsewhere={found.elsewhere} />
          ) : (
            <>
              <RowNow story={found.story} queue={queue} mayAct={mayAct} />
              <SentOnce of={found.story.sent_once} />
              <Content story={found.story} accounts={accounts} />
              <Timeline story={found.story} />
              <Attempts story={found.story} />
              <Receipts receipts={found.story.receipts} />
            </>
          )
        }
      </Part>
    </>
  );
}
