import { rowsHref } from '@/components/link.ts';
import { readAccounts, readNeighboursOf, readQueue, readStory } from '../../../../dal/queues.ts';
import { readVisitor } from '../../../../dal/visitor.ts';
import { Part } from '../../../../shell/part.tsx';
import { oneOf } from '../../../../shell/query.ts';
import { QueueHeader } from '../../queue-header.tsx';
import { readFilter } from '../filter.ts';
import { neighbourHrefs } from '../place.ts';
import { Attempts } from './attempts.tsx';
import { Content } from './content.tsx';
import { MissingRow } from './missing-row.tsx';
import { Receipts } from './receipts.tsx';
import { RowNow } from './row-now.tsx';
import { SentOnce } from './sent-once.tsx';
import { Timeline } from './timeline.tsx';
import { Walk } from './walk.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/rows/[id]'>) {
  const { queue, id } = await params;
  return { title: `Row ${decodeURIComponent(id)} of ${queue}` };
}

/** Answers: what happened to this row, why is it not done yet, and was it sent once? */
export default async function RowPage({ params, searchParams }: PageProps<'/queues/[queue]/rows/[id]'>) {
  const { queue: name, id: encoded } = await params;
  const id = decodeURIComponent(encoded);
  const query = oneOf(await searchParams);
  const filter = readFilter(query);
  const { mayAct } = await readVisitor();
  const read = async () => ({
    ...(await readQueue(name)),
    accounts: await readAccounts(),
    found: await readStory(name, id),
  });
  return (
    <>
      <QueueHeader queue={name} tab="/rows" isBelow title={`Row ${id}`} />
      {query.place && (
        <Part read={() => readNeighboursOf(name, id, { ...filter, place: query.place })} height="h-9">
          {(beside) =>
            beside && <Walk list={rowsHref(name, filter)} {...neighbourHrefs(name, filter, beside)} />
          }
        </Part>
      )}
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
