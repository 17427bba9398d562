import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import type { RowStory } from '@/lib/store/story/row-story.ts';
import { byWords, eventWords } from './event-words.ts';

const DOTS: Record<string, string> = {
  done: 'bg-good-bar',
  proved: 'bg-good-bar',
  dead: 'bg-bad-bar',
  twice: 'bg-bad-bar',
  error: 'bg-bad-bar',
  unknown: 'bg-warn-bar',
  swept: 'bg-warn-bar',
};

/** Draws each change of a row, the oldest first, and who made it. */
export function Timeline({ story: { queue, id, events, attempts } }: { story: RowStory }) {
  const ticks = new Map(attempts.map(({ claim_id, tick }) => [claim_id, tick]));
  return (
    <Section id="timeline" heading="What happened">
      <ol aria-label={`Timeline of row ${id}`} className="ml-1 border-l border-line-strong">
        {events.map(({ at, event, by, text, claim_id }, n) => {
          const tick = event === 'claimed' ? ticks.get(claim_id) : null;
          const who = byWords(by);
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: entries are only appended.
            <li key={n} className="relative pb-2.5 pl-4 last:pb-0">
              <span
                aria-hidden="true"
                className={`absolute top-1.5 -left-[4.5px] size-2 rounded-full ring-2 ring-surface ${DOTS[event] ?? 'bg-muted'}`}
              />
              <p className="flex flex-wrap items-baseline gap-x-3">
                <span>
                  <span className="font-medium">{eventWords(event)}</span>{' '}
                  {tick ? (
                    <Link href={queueHref(queue, `/ticks/${tick.id}`)} prefetch={false} className={LINK}>
                      by a tick ({tick.scheduler})
                    </Link>
                  ) : (
                    who
                  )}
                </span>
                <span className="text-muted">
                  <ClockTime at={at} seconds />, <RelativeTime at={at} />
                </span>
              </p>
              {text && <p className="text-muted wrap-anywhere">{text}</p>}
            </li>
          );
        })}
      </ol>
    </Section>
  );
}
