import { readOneAction, readProof } from '../../dal/actions.ts';
import { readQueue } from '../../dal/queues.ts';
import { readVisitor } from '../../dal/visitor.ts';
import { PageHeader } from '../../shell/page-header.tsx';
import { Part } from '../../shell/part.tsx';
import { oneOf } from '../../shell/query.ts';
import { ActionState } from '../action-table.tsx';
import { actionTitle } from '../action-words.ts';
import { Progress } from './progress.tsx';
import { Proof } from './proof.tsx';

/** Steps of an action that is continued run after the response. */
export const maxDuration = 30;

export async function generateMetadata({ params }: PageProps<'/actions/[id]'>) {
  return { title: `Action ${(await params).id}` };
}

/** Answers: what became of the rows that somebody changed, and was one of them sent twice? */
export default async function ActionPage({ params, searchParams }: PageProps<'/actions/[id]'>) {
  const { id } = await params;
  const { cursor } = oneOf(await searchParams);
  const { mayAct } = await readVisitor();
  const read = async () => {
    const action = await readOneAction(id);
    return { action, queue: (await readQueue(action.queue)).queue };
  };
  return (
    <Part read={read} height="h-screen">
      {({ action, queue }) => (
        <>
          <PageHeader
            title={`${actionTitle(action)} of ${queue.name}`}
            above={[{ title: 'Actions', href: '/actions' }]}
            aside={<ActionState action={action} />}
          />
          <Progress action={action} queue={queue} mayAct={mayAct} />
          {action.action === 'retry' && queue.delivery === 'at-most-once' && action.written > 0 && (
            <Part read={() => readProof(id, cursor)} height="h-48">
              {(proof) => <Proof action={action} proof={proof} isFirst={!cursor} />}
            </Part>
          )}
        </>
      )}
    </Part>
  );
}
