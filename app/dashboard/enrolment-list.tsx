import { useState } from 'react';
import useSWR from 'swr';
import type { Enrolment, Funnel } from '@/lib/store/conversations';
import { EnrolmentTimeline } from './enrolment-timeline';
import { nextWords, PHASES, type Phase, personOf, phaseLabel, phaseTone } from './enrolment-words';
import { fetchJson } from './fetch-json';
import { polling } from './polling';
import { ReadingFault } from './reading-fault';
import { RelativeTime } from './relative-time';

const REFRESH_MS = 5_000;
const MOST_SHOWN = 20;

interface EnrolmentListProps {
  sequence: string;
  name: string;
  funnel: Funnel;
}

/** The people of a sequence, read as soon as somebody wants to see them. */
export function EnrolmentList({ sequence, name, funnel }: EnrolmentListProps) {
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
          <People sequence={sequence} name={name} phase={phase} />
        </>
      )}
    </details>
  );
}

function People({ sequence, name, phase }: { sequence: string; name: string; phase: Phase | null }) {
  const query = `sequence=${sequence}${phase ? `&phase=${phase}` : ''}&limit=${MOST_SHOWN}`;
  const { data, error } = useSWR<{ enrolments: Enrolment[] }, Error>(`/api/enrolments?${query}`, fetchJson, {
    ...polling,
    refreshInterval: REFRESH_MS,
  });
  return (
    <>
      {error && <ReadingFault error={error} />}
      {data?.enrolments.length === 0 && <p className="mt-2 text-muted">Nobody.</p>}
      {data && data.enrolments.length > 0 && (
        <ul aria-label={`People in ${name}`} className="mt-2 divide-y divide-line border-y border-line">
          {data.enrolments.map((enrolment) => (
            <Person key={enrolment.id} enrolment={enrolment} />
          ))}
        </ul>
      )}
      {data?.enrolments.length === MOST_SHOWN && (
        <p className="mt-2 text-muted">
          These are the newest {MOST_SHOWN}; GET /api/enrolments?sequence={sequence} lists all.
        </p>
      )}
    </>
  );
}

function Person({ enrolment }: { enrolment: Enrolment }) {
  const [open, setOpen] = useState(false);
  const next = nextWords(enrolment);
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary className="cursor-pointer py-2">
          <span className="inline-flex max-w-[calc(100%-1.5rem)] flex-wrap items-baseline gap-x-3 gap-y-1 align-top">
            <span className="font-medium wrap-anywhere">{personOf(enrolment)}</span>
            <span className={`rounded-full px-2 text-xs ${phaseTone(enrolment.phase)}`}>
              {phaseLabel(enrolment.phase)}
            </span>
            {next && (
              <span className="text-muted">
                {next}
                {enrolment.next_step_at && (
                  <>
                    {' '}
                    <RelativeTime at={enrolment.next_step_at} />
                  </>
                )}
              </span>
            )}
            {enrolment.last_error && <span className="text-muted wrap-anywhere">{enrolment.last_error}</span>}
          </span>
        </summary>
        {open && <EnrolmentTimeline id={enrolment.id} />}
      </details>
    </li>
  );
}
