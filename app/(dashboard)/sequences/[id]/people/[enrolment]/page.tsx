import { readPerson } from '../../../../dal/sequences.ts';
import { readVisitor } from '../../../../dal/visitor.ts';
import { PageHeader } from '../../../../shell/page-header.tsx';
import { Part } from '../../../../shell/part.tsx';
import { personOf, phaseLabel, phaseTone } from '../../../enrolment-words.ts';
import { EnrolmentActions } from './enrolment-actions.tsx';
import { EnrolmentTimeline } from './enrolment-timeline.tsx';

export const metadata = { title: 'Person' };

/** Answers: what was said to this person? */
export default async function PersonPage({ params }: PageProps<'/sequences/[id]/people/[enrolment]'>) {
  const { id, enrolment } = await params;
  const { mayAct } = await readVisitor();
  return (
    <Part read={() => readPerson(enrolment)} height="h-96">
      {(person) => (
        <>
          <PageHeader
            title={personOf(person)}
            above={[
              { title: 'Sequences', href: '/sequences' },
              { title: person.sequence_name, href: `/sequences/${id}` },
            ]}
            aside={
              <span className={`rounded-full px-2.5 py-0.5 ${phaseTone(person.phase)}`}>
                {phaseLabel(person.phase)}
              </span>
            }
          />
          {mayAct && (
            <EnrolmentActions id={person.id} phase={person.phase} isPaused={person.paused_at !== null} />
          )}
          <EnrolmentTimeline enrolment={person} />
        </>
      )}
    </Part>
  );
}
