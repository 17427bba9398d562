import { useState } from 'react';
import useSWR from 'swr';
import type { EnrolmentWithTimeline } from '@/lib/store/conversations';
import { eventWords } from './enrolment-words';
import { fetchJson } from './fetch-json';
import { polling } from './polling';
import { ReadingFault } from './reading-fault';
import { RelativeTime } from './relative-time';
import { RowLink } from './row-link';

const BUTTON = 'min-h-9 cursor-pointer rounded-md border border-line-strong px-3 font-medium hover:bg-sunken';

/** All that became of one person in one sequence, and what may be done about it. */
export function EnrolmentTimeline({ id }: { id: string }) {
  const { data, error, mutate } = useSWR<EnrolmentWithTimeline, Error>(
    `/api/enrolments/${id}`,
    fetchJson,
    polling,
  );
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3 pb-4 pl-4">
      {error && <ReadingFault error={error} />}
      {data && (
        <>
          <p className="text-muted wrap-anywhere">
            {[
              data.recipient ?? data.chat_id,
              data.account_name && `through ${data.account_name}`,
              data.time_zone,
            ]
              .filter(Boolean)
              .join(' · ')}
          </p>
          <ol aria-label={`Timeline of enrolment ${id}`} className="ml-1 border-l border-line-strong">
            {data.timeline.map(({ at, event, step, message_id, text }, n) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: only its end grows.
              <li key={n} className="relative pb-2.5 pl-4 last:pb-0">
                <span
                  aria-hidden="true"
                  className="absolute top-1.5 -left-[4.5px] size-2 rounded-full bg-muted ring-2 ring-surface"
                />
                <p className="flex flex-wrap items-baseline gap-x-3">
                  <span className="font-medium">{eventWords({ event, step })}</span>
                  <span className="text-muted">
                    <RelativeTime at={at} />
                    {message_id && (
                      <>
                        {' · message '}
                        <RowLink queue="dm_queue" id={message_id} />
                      </>
                    )}
                  </span>
                </p>
                {text && <p className="whitespace-pre-line text-muted wrap-anywhere">{text}</p>}
              </li>
            ))}
          </ol>
          <Actions enrolment={data} onChanged={(changed) => void mutate(changed, { revalidate: false })} />
        </>
      )}
    </div>
  );
}

interface ActionsProps {
  enrolment: EnrolmentWithTimeline;
  onChanged: (enrolment: EnrolmentWithTimeline) => void;
}

function Actions({ enrolment: { id, phase, paused_at }, onChanged }: ActionsProps) {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState('');
  const goesOn = phase === 'in_progress' || phase === 'waiting_reply';
  const canResume = paused_at !== null || phase === 'failed';
  if (!goesOn && !canResume) return null;

  async function act(what: 'pause' | 'resume' | 'stop'): Promise<void> {
    // Not by disabling the buttons: the one that was pressed would lose the focus.
    if (busy) return;
    setBusy(true);
    setFailure('');
    try {
      onChanged(await fetchJson<EnrolmentWithTimeline>(`/api/enrolments/${id}/${what}`, {}));
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  }

  return (
    <div>
      <fieldset aria-busy={busy} aria-label={`Enrolment ${id}`} className="flex flex-wrap gap-2">
        {goesOn && !canResume && (
          <button
            type="button"
            title="Nothing more is sent until it is resumed."
            className={BUTTON}
            onClick={() => void act('pause')}
          >
            Pause
          </button>
        )}
        {canResume && (
          <button
            type="button"
            title="It goes on with the step that it stands at."
            className={BUTTON}
            onClick={() => void act('resume')}
          >
            Resume
          </button>
        )}
        <button
          type="button"
          title="It is over: nothing more is sent."
          className={BUTTON}
          onClick={() => void act('stop')}
        >
          Stop
        </button>
      </fieldset>
      {failure && (
        <p role="alert" className="mt-2 wrap-anywhere text-bad first-letter:uppercase">
          {failure}
        </p>
      )}
    </div>
  );
}
