import { notFound } from 'next/navigation';
import { VERBS } from '../../../actions/action-words.ts';
import { previewAction } from '../../../dal/actions.ts';
import { readQueue } from '../../../dal/queues.ts';
import { readVisitor } from '../../../dal/visitor.ts';
import { Part } from '../../../shell/part.tsx';
import { allOf, oneOf } from '../../../shell/query.ts';
import { QueueHeader } from '../queue-header.tsx';
import { readFilter } from '../rows/filter.ts';
import { Preview } from './preview.tsx';
import { forDryRun, readRequest } from './request.ts';

/** Steps of an action run after the response. */
export const maxDuration = 30;
export const metadata = { title: 'Change rows' };

/** Says what an act would do to rows before a person confirms it. */
export default async function ActPage({ params, searchParams }: PageProps<'/queues/[queue]/act'>) {
  const { queue: name } = await params;
  const search = await searchParams;
  const ids = allOf(search, 'id');
  const request = readRequest(oneOf(search), ids);
  if (!request) notFound();
  const { mayAct, name: visitor } = await readVisitor();
  const read = async () => ({
    ...(await readQueue(name)),
    preview: await previewAction(name, forDryRun(request, Date.now())),
  });
  const one = ids.length === 1 ? ` row ${ids[0]}` : '';
  return (
    <>
      <QueueHeader queue={name} tab="/rows" isBelow title={`${VERBS[request.action]}${one || ' rows'}?`} />
      <Part read={read} height="h-96">
        {({ queue, preview }) => (
          <Preview
            queue={queue}
            request={request}
            filter={ids.length > 0 ? null : readFilter(oneOf(search))}
            preview={preview}
            visitor={mayAct ? visitor : null}
          />
        )}
      </Part>
    </>
  );
}
