import { readGroup } from '../../../../dal/errors.ts';
import { readQueue } from '../../../../dal/queues.ts';
import { readVisitor } from '../../../../dal/visitor.ts';
import { Part } from '../../../../shell/part.tsx';
import { QueueHeader } from '../../queue-header.tsx';
import { kindInWords } from '../error-words.ts';
import { GroupState } from '../group-state.tsx';
import { GroupSummary } from './group-summary.tsx';
import { SampleList } from './sample-list.tsx';

export async function generateMetadata({ params }: PageProps<'/queues/[queue]/errors/[group]'>) {
  return { title: `Error of ${(await params).queue}` };
}

/** Answers: what does this error mean, whom does it concern, and what can I do? */
export default async function ErrorPage({ params }: PageProps<'/queues/[queue]/errors/[group]'>) {
  const { queue: name, group: id } = await params;
  const { mayAct } = await readVisitor();
  const read = async () => {
    const [{ queue }, group] = await Promise.all([readQueue(name), readGroup(name, id)]);
    return { queue, group };
  };
  return (
    <Part read={read} height="h-96">
      {({ queue, group }) => (
        <>
          <QueueHeader
            queue={name}
            tab="/errors"
            title={titleOf(kindInWords(group.kind, queue).short, group.code)}
            isBelow
            aside={<GroupState state={group.state} />}
          />
          <GroupSummary queue={queue} group={group} mayAct={mayAct} />
          <SampleList queue={name} samples={group.samples} />
        </>
      )}
    </Part>
  );
}

function titleOf(kind: string, code: string | null): string {
  const text = [kind, code].filter(Boolean).join(', ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
