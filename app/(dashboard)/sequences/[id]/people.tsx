import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { PageLinks } from '@/components/lists/page-links.tsx';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Enrolment } from '@/lib/store/conversations.ts';
import { nextWords, type Phase, personOf, phaseLabel, phaseTone } from '../enrolment-words.ts';

interface PeopleProps {
  sequence: string;
  /** Undefined shows every phase. */
  phase: string | undefined;
  isFirst: boolean;
  people: Enrolment[];
  next: string | null;
}

const columns: Column<Enrolment>[] = [
  {
    head: 'person',
    isRowHead: true,
    cell: (enrolment) => (
      <Link
        href={`/sequences/${enrolment.sequence_id}/people/${enrolment.id}`}
        prefetch={false}
        className={`font-medium wrap-anywhere ${LINK}`}
      >
        {personOf(enrolment)}
      </Link>
    ),
  },
  {
    head: 'phase',
    cell: ({ phase }) => (
      <span className={`rounded-full px-2 text-xs whitespace-nowrap ${phaseTone(phase)}`}>
        {phaseLabel(phase)}
      </span>
    ),
  },
  { head: 'next', cell: (enrolment) => <Next of={enrolment} /> },
  {
    head: 'last words',
    cell: ({ last_reply, last_error }) => <LastWords reply={last_reply} error={last_error} />,
  },
];

/** Draws the people of a sequence, each with a link to what was said to them. */
export function People({ sequence, phase, isFirst, people, next }: PeopleProps) {
  const first = `/sequences/${sequence}${phase ? `?phase=${phase}` : ''}`;
  return (
    <Section
      id="people"
      heading={phase ? `People: ${phaseLabel(phase as Phase)}` : 'People'}
      aside={
        phase && (
          <Link href={`/sequences/${sequence}`} prefetch={false} className={LINK}>
            All phases
          </Link>
        )
      }
    >
      <div>
        {people.length === 0 ? (
          <p className="text-muted">No people in this phase.</p>
        ) : (
          <Table label="People" items={people} columns={columns} keyOf={({ id }) => id} />
        )}
        <PageLinks
          first={isFirst ? null : first}
          next={next && `${first}${phase ? '&' : '?'}cursor=${next}`}
        />
      </div>
    </Section>
  );
}

function Next({ of: enrolment }: { of: Enrolment }) {
  const words = nextWords(enrolment);
  const at = words === null ? enrolment.finished_at : enrolment.next_step_at;
  return (
    <span className="text-muted">
      {words ?? 'over'} {at && <RelativeTime at={at} />}
    </span>
  );
}

function LastWords({ reply, error }: { reply: string | null; error: string | null }) {
  if (error) return <span className="line-clamp-2 text-bad wrap-anywhere">{error}</span>;
  return <span className="line-clamp-2 text-muted wrap-anywhere">{reply ? `“${reply}”` : '–'}</span>;
}
