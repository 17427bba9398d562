import { Section } from '@/components/section.tsx';
import { readOneSequence, readPeople } from '../../dal/sequences.ts';
import { PageHeader } from '../../shell/page-header.tsx';
import { Part } from '../../shell/part.tsx';
import { oneOf } from '../../shell/query.ts';
import { FunnelTable } from '../funnel-table.tsx';
import { PhaseCounts } from '../phase-counts.tsx';
import { SequenceFacts } from '../sequences.tsx';
import { People } from './people.tsx';

export const metadata = { title: 'Sequence' };

/** Shows one sequence: its funnel, and its people by phase. */
export default async function SequencePage({ params, searchParams }: PageProps<'/sequences/[id]'>) {
  const { id } = await params;
  const { phase, cursor } = oneOf(await searchParams);
  const above = [{ title: 'Sequences', href: '/sequences' }];
  return (
    <>
      <Part read={() => readOneSequence(id)} height="h-96">
        {(sequence) => (
          <>
            <PageHeader title={sequence.name} above={above} aside={<SequenceFacts of={sequence} />} />
            <PhaseCounts sequence={sequence} />
            <Section id="funnel" heading="Funnel">
              <FunnelTable funnel={sequence.funnel} name={sequence.name} />
            </Section>
          </>
        )}
      </Part>
      <Part read={() => readPeople({ sequence: id, phase, cursor })} height="h-96">
        {({ items, next }) => (
          <People sequence={id} phase={phase} isFirst={!cursor} people={items} next={next} />
        )}
      </Part>
    </>
  );
}
