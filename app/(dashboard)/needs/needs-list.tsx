import Link from 'next/link';
import type { ReactNode } from 'react';
import { ActForm } from '@/components/acts/act-form.tsx';
import { queueHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import type { Need } from '@/lib/stats/needs/need.ts';
import type { ListedNeed, Snooze } from '@/lib/stats/needs/snoozes.ts';
import { snooze, wake } from './snooze-acts.ts';
import { SnoozeMenu } from './snooze-menu.tsx';

const SIGNS: Record<Need['tone'], { sign: string; tone: string; word: string }> = {
  bad: { sign: '■', tone: 'text-bad', word: 'Wrong' },
  warn: { sign: '▲', tone: 'text-warn', word: 'Waits for you' },
  wait: { sign: '○', tone: 'text-muted', word: 'Ends by itself' },
};

/** Draws what waits for a person, the worst first: what, how many, since when, and the link to it. What was put off stands below, folded. */
export function NeedsList({ needs, mayAct }: { needs: ListedNeed[]; mayAct: boolean }) {
  const open = needs.filter(({ snoozed }) => snoozed === null);
  const count = open.filter(({ tone }) => tone !== 'wait').length;
  return (
    <Section
      id="needs-you"
      heading="Needs you"
      aside={count > 0 && <p className="text-muted">{count}, the worst first</p>}
    >
      <div>
        {count === 0 && <p className="text-good">Nothing needs you.</p>}
        {open.length > 0 && (
          <ul className={`divide-y divide-line ${count === 0 ? 'mt-3 border-t border-line' : '-my-3'}`}>
            {open.map((need) => (
              <Line key={need.key} need={need}>
                {mayAct && <SnoozeMenu act={snooze.bind(null, need.key)} label={nameOf(need)} />}
              </Line>
            ))}
          </ul>
        )}
      </div>
      <Snoozed needs={needs} mayAct={mayAct} />
    </Section>
  );
}

function Snoozed({ needs, mayAct }: { needs: ListedNeed[]; mayAct: boolean }) {
  const lines = needs.flatMap(({ snoozed, ...need }) => (snoozed === null ? [] : [{ need, snoozed }]));
  if (lines.length === 0) return null;
  return (
    <details>
      <summary className="cursor-pointer py-1 text-muted hover:text-ink">Snoozed ({lines.length})</summary>
      <ul className="mt-1 divide-y divide-line border-t border-line">
        {lines.map(({ need, snoozed }) => (
          <Line key={need.key} need={need} snoozed={snoozed}>
            {mayAct && (
              <ActForm act={wake.bind(null, need.key)} submit="Wake" label={`Wake: ${nameOf(need)}`} />
            )}
          </Line>
        ))}
      </ul>
    </details>
  );
}

function nameOf({ queue, text }: Need): string {
  return queue === null ? text : `${queue}, ${text}`;
}

interface LineProps {
  need: Need;
  snoozed?: Snooze;
  /** Stands beside the link. */
  children: ReactNode;
}

function Line({ need, snoozed, children }: LineProps) {
  const { tone, queue, text, detail, since, until, href, act } = need;
  const { sign, tone: color, word } = SIGNS[tone];
  return (
    <li className="flex flex-wrap gap-x-3 gap-y-2 py-2.5 sm:flex-nowrap">
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
        {snoozed && (
          <p className="text-muted">
            Snoozed by {snoozed.name} until <ClockTime at={snoozed.until} />
          </p>
        )}
        {detail && <p className="line-clamp-2 text-muted wrap-anywhere first-letter:uppercase">{detail}</p>}
      </div>
      <div className="flex shrink-0 items-start gap-2 max-sm:w-full max-sm:pl-6">
        {act && (
          <Link
            href={href}
            prefetch={false}
            aria-label={`${act}: ${nameOf(need)}`}
            className="inline-flex min-h-9 items-center rounded-md border border-line-strong px-3 font-medium hover:bg-sunken"
          >
            {act}
          </Link>
        )}
        {children}
      </div>
    </li>
  );
}
