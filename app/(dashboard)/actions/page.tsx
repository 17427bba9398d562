import { readActions } from '../dal/actions.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { ActionTable } from './action-table.tsx';

export const metadata = { title: 'Actions' };

/** Answers: who changed many rows, and with what result? */
export default async function ActionsPage({ searchParams }: PageProps<'/actions'>) {
  const { cursor } = oneOf(await searchParams);
  return (
    <>
      <PageHeader title="Actions" above={[]} />
      <Part read={() => readActions({ cursor })} height="h-96">
        {({ items, next }) => <ActionTable actions={items} next={next} isFirst={!cursor} />}
      </Part>
    </>
  );
}
