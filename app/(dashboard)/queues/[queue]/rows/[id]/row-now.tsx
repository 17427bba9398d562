import Link from 'next/link';
import { SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { queryString, queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { StateBadge } from '@/components/state-badge.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import type { RowStory } from '@/lib/store/story/row-story.ts';
import { actsOn, VERBS } from '../../../../actions/action-words.ts';
import { DecisionButtons } from '../../needs-you/decision-buttons.tsx';
import { Headline } from './headline.tsx';
import { Waits } from './waits.tsx';

interface RowNowProps {
  story: RowStory;
  queue: QueueStats;
  mayAct: boolean;
}

/** Draws why a row is in its state, and what a person may do about it. */
export function RowNow({ story: { id, status, state, why }, queue, mayAct }: RowNowProps) {
  const { pending, done, dead } = queue.words;
  const acts = mayAct && state ? actsOn([state], queue.delivery) : [];
  return (
    <Section id="now" heading="Now" aside={<StateBadge words={queue.words} word={status ?? 'no status'} />}>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
        {why ? (
          <>
            <Headline row={why} />
            <p className="text-muted">
              {why.attempts} of {why.max_attempts} attempts
              {why.due_at && (
                <>
                  {' '}
                  · due <RelativeTime at={why.due_at} />
                </>
              )}
            </p>
          </>
        ) : (
          <p className="text-base font-semibold text-bad">
            Its status is no word of the queue {queue.name}: no tick claims it until that is corrected.
          </p>
        )}
        {mayAct && state === 'unknown' && (
          <div className="flex">
            <DecisionButtons
              id={id}
              attempt={why?.attempts ?? 0}
              words={{ pending, done, dead }}
              path={`/api/queues/${queue.name}/rows`}
            />
          </div>
        )}
        {acts.length > 0 && (
          <ul className="flex flex-wrap gap-2">
            {acts.map((act) => (
              <li key={act}>
                <Link
                  href={queueHref(queue.name, `/act${queryString({ act, id })}`)}
                  prefetch={false}
                  className={`inline-flex items-center ${SECONDARY_BUTTON}`}
                >
                  {VERBS[act]}…
                </Link>
              </li>
            ))}
          </ul>
        )}
      </div>
      {why && <Waits row={why} />}
    </Section>
  );
}
