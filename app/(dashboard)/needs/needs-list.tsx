import Link from 'next/link';
import { queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import type { Need } from './list-needs.ts';

const SIGNS: Record<Need['tone'], { sign: string; tone: string; word: string }> = {
  bad: { sign: '■', tone: 'text-bad', word: 'Wrong' },
  warn: { sign: '▲', tone: 'text-warn', word: 'Waits for you' },
  wait: { sign: '○', tone: 'text-muted', word: 'Ends by itself' },
};

/** Draws what waits for a person, the worst first: what, how many, since when, and the link to it. */
export function NeedsList({ needs }: { needs: Need[] }) {
  const count = needs.filter(({ tone }) => tone !== 'wait').length;
  return (
    <Section
      id="needs-you"
      heading="Needs you"
      aside={count > 0 && <p className="text-muted">{count}, the worst first</p>}
    >
      <div>
        {count === 0 && <p className="text-good">Nothing needs you.</p>}
        {needs.length > 0 && (
          <ul className={`divide-y divide-line ${count === 0 ? 'mt-3 border-t border-line' : '-my-3'}`}>
            {needs.map((need) => (
              <Line key={need.key} need={need} />
            ))}
          </ul>
        )}
      </div>
    </Section>
  );
}

function Line({ need: { tone, queue, text, detail, since, until, href, act } }: { need: Need }) {
  const { sign, tone: color, word } = SIGNS[tone];
  return (
    <li className="flex gap-3 py-2.5">
      <span aria-hidden="true" className={`${color} text-xs leading-6`}>
        {sign}
      </span>
      <div className="min-w-0 flex-1">
        <p className="wrap-anywhere">
          <span className="sr-only">{word}: </span>
          {queue !== null && (
            <>
              <Link
                href={queueHref(queue)}
                prefetch={false}
                className="text-muted underline decoration-line-strong underline-offset-4"
              >
                {queue}
              </Link>{' '}
              ·{' '}
            </>
          )}
          <span className="font-medium">{text}</span>
          {since && (
            <span className="text-muted">
              , since <ClockTime at={since} />
            </span>
          )}
          {until && (
            <span className="text-muted">
              , next try <RelativeTime at={until} />
            </span>
          )}
        </p>
        {detail && <p className="line-clamp-2 text-muted wrap-anywhere first-letter:uppercase">{detail}</p>}
      </div>
      {act && (
        <Link
          href={href}
          prefetch={false}
          aria-label={`${act}: ${queue === null ? '' : `${queue}, `}${text}`}
          className="inline-flex min-h-9 shrink-0 items-center self-start rounded-md border border-line-strong px-3 font-medium hover:bg-sunken"
        >
          {act}
        </Link>
      )}
    </li>
  );
}
