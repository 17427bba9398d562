import { queueHref } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { Section } from '@/components/section.tsx';
import { readErrorGroups } from '../../../dal/errors.ts';
import { readQueue } from '../../../dal/queues.ts';
import { Part } from '../../../shell/part.tsx';
import { oneOf } from '../../../shell/query.ts';
import { QueueHeader } from '../queue-header.tsx';
import { GroupTable } from './group-table.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/errors'>) {
  return { title: `Errors of ${(await params).queue}` };
}

/** Answers: what fails, for which reason, and is it new? */
export default async function ErrorsPage({ params, searchParams }: PageProps<'/queues/[queue]/errors'>) {
  const { queue: name } = await params;
  const { cursor } = oneOf(await searchParams);
  const first = queueHref(name, '/errors');
  const read = async () => {
    const [{ queue }, groups] = await Promise.all([readQueue(name), readErrorGroups(name, cursor)]);
    return { queue, groups };
  };
  return (
    <>
      <QueueHeader queue={name} tab="/errors" title="Errors" />
      <Section id="errors" heading="Errors with the same text, the latest first">
        <Part read={read} height="h-96">
          {({ queue, groups: { items, next } }) => (
            <div>
              <GroupTable queue={queue} groups={items} />
              <PageLinks first={cursor ? first : null} next={next && `${first}?cursor=${next}`} />
            </div>
          )}
        </Part>
      </Section>
    </>
  );
}
