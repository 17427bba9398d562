import { readSequences } from '../dal/sequences.ts';
import { readAddress } from '../dal/visitor.ts';
import { PageHeader } from '../shell/page-header.tsx';
import { Part } from '../shell/part.tsx';
import { oneOf } from '../shell/query.ts';
import { Sequences } from './sequences.tsx';

export const metadata = { title: 'Sequences' };

/** Answers: how far are people? */
export default async function SequencesPage({ searchParams }: PageProps<'/sequences'>) {
  const [address, { cursor }] = [await readAddress(), oneOf(await searchParams)];
  return (
    <>
      <PageHeader title="Sequences" above={[]} />
      <Part read={() => readSequences(cursor)} height="h-screen">
        {({ items, next }) => <Sequences sequences={items} next={next} isFirst={!cursor} address={address} />}
      </Part>
    </>
  );
}
