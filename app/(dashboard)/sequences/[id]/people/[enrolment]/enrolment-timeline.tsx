import { RowLink } from '@/components/row-link.tsx';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { EnrolmentWithTimeline } from '@/lib/store/conversations.ts';
import { eventTone, eventWords } from '../../../enrolment-words.ts';

/** Draws an enrolment's events. */
export function EnrolmentTimeline({ enrolment }: { enrolment: EnrolmentWithTimeline }) {
  const { id, timeline } = enrolment;
  return (
    <Section id="timeline" heading="Timeline">
      <div className="text-muted wrap-anywhere">
        <p>
          Enrolment <RowLink queue="enrolments" id={id} /> · {facts(enrolment)}
        </p>
        <p>{variablesOf(enrolment)}</p>
      </div>
      <ol aria-label={`Timeline of enrolment ${id}`} className="ml-1 border-l border-line-strong">
        {timeline.map(({ at, event, step, message_id, text }, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: entries are only appended.
          <li key={n} className="relative pb-2.5 pl-4 last:pb-0">
            <span
              aria-hidden="true"
              className={`absolute top-1.5 -left-[4.5px] size-2 rounded-full ring-2 ring-surface ${eventTone(event)}`}
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
    </Section>
  );
}

function facts({ recipient, chat_id, account_name, time_zone, version }: EnrolmentWithTimeline): string {
  const account = account_name && `sent as ${account_name}`;
  const steps = version > 1 && `steps of version ${version}`;
  return [recipient ?? chat_id, account, time_zone, steps].filter(Boolean).join(' · ');
}

function variablesOf({ variables }: EnrolmentWithTimeline): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
}
