import { useState } from 'react';
import { ReadErrorNotice } from '@/components/api/read-error-notice.tsx';
import { usePolling } from '@/components/api/use-polling.ts';
import { PageLinks, usePages } from '@/components/lists/pages.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Enrolment, Funnel } from '@/lib/store/conversations.ts';
import { EnrolmentTimeline } from './enrolment-timeline.tsx';
import { nextWords, PHASES, type Phase, personOf, phaseLabel, phaseTone } from './enrolment-words.ts';

const REFRESH_MS = 5_000;
const PAGE_SIZE = 20;

interface EnrolmentListProps {
  sequence: string;
  name: string;
  funnel: Funnel;
  signedIn: boolean;
}

/** Draws the people of a sequence, folded at first. They are read when a person unfolds them. */
export function EnrolmentList({ sequence, name, funnel, signedIn }: EnrolmentListProps) {
  const [open, setOpen] = useState(false);
  const [phase, setPhase] = useState<Phase | null>(null);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="cursor-pointer py-1 font-medium">People</summary>
      {open && (
        <>
          <label className="mt-2 flex flex-wrap items-center gap-2 text-muted">
            Phase
            <select
              value={phase ?? ''}
              onChange={(event) => setPhase((event.target.value || null) as Phase | null)}
              className="min-h-9 rounded-md border border-line-strong bg-surface px-2 text-ink"
            >
              <option value="">all</option>
              {PHASES.map((one) => (
                <option key={one.phase} value={one.phase}>
                  {one.label} ({funnel.phases[one.phase]})
                </option>
              ))}
            </select>
          </label>
          <People sequence={sequence} name={name} phase={phase} signedIn={signedIn} />
        </>
      )}
    </details>
  );
}

interface PeopleProps extends Omit<EnrolmentListProps, 'funnel'> {
  /** Null shows every phase. */
  phase: Phase | null;
}

function People({ sequence, name, phase, signedIn }: PeopleProps) {
  const pages = usePages(
    `/api/enrolments?sequence=${sequence}${phase ? `&phase=${phase}` : ''}&limit=${PAGE_SIZE}`,
  );
  const { data, error } = usePolling<{ enrolments: Enrolment[]; next: string | null }>(pages.url, {
    everyMs: REFRESH_MS,
  });
  return (
    <>
      {error && <ReadErrorNotice error={error} />}
      {data?.enrolments.length === 0 && <p className="mt-2 text-muted">No people in this phase.</p>}
      {data && data.enrolments.length > 0 && (
        <ul aria-label={`People in ${name}`} className="mt-2 divide-y divide-line border-y border-line">
          {data.enrolments.map((enrolment) => (
            <Person key={enrolment.id} enrolment={enrolment} signedIn={signedIn} />
          ))}
        </ul>
      )}
      <PageLinks pages={pages} next={data?.next} />
    </>
  );
}

function Person({ enrolment, signedIn }: { enrolment: Enrolment; signedIn: boolean }) {
  const [open, setOpen] = useState(false);
  const { phase, next_step_at, finished_at, last_reply, last_error } = enrolment;
  const next = nextWords(enrolment);
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="cursor-pointer py-2">
          <span className="inline-flex max-w-[calc(100%-1.5rem)] flex-wrap items-baseline gap-x-3 gap-y-1 align-top">
            <span className="font-medium wrap-anywhere">{personOf(enrolment)}</span>
            <span className={`rounded-full px-2 text-xs ${phaseTone(phase)}`}>{phaseLabel(phase)}</span>
            {next && (
              <span className="text-muted">
                {next}
                {next_step_at && (
                  <>
                    {' '}
                    <RelativeTime at={next_step_at} />
                  </>
                )}
              </span>
            )}
            {finished_at && (
              <span className="text-muted">
                <RelativeTime at={finished_at} />
              </span>
            )}
            {phase === 'replied' && last_reply && (
              <span className="line-clamp-1 text-muted wrap-anywhere">“{last_reply}”</span>
            )}
            {last_error && <span className="text-muted wrap-anywhere">{last_error}</span>}
          </span>
        </summary>
        {open && <EnrolmentTimeline id={enrolment.id} signedIn={signedIn} />}
      </details>
    </li>
  );
}
