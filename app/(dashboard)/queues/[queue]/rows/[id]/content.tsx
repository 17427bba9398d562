import Link from 'next/link';
import type { ReactNode } from 'react';
import { errorHref, LINK, rowsHref } from '@/components/link.ts';
import { RowLink } from '@/components/row-link.tsx';
import { Section } from '@/components/section.tsx';
import type { RowStory } from '@/lib/store/story/row-story.ts';
import { rowSummary } from '../../needs-you/row-summary.ts';
import { actionIds } from './event-words.ts';

interface ContentProps {
  story: RowStory;
  accounts: { id: string; name: string }[];
}

/** Draws what a row says and to whom, and the things that it belongs to. */
export function Content({ story, accounts }: ContentProps) {
  const { queue, row, events, attempts } = story;
  const account = accounts.find(({ id }) => id === row.account_id) ?? null;
  const { from, to, text } = rowSummary({ account, row });
  const actions = actionIds(events);
  const group = attempts.findLast(({ error_group }) => error_group)?.error_group;
  return (
    <Section id="content" heading="Content">
      <dl className="grid gap-x-8 gap-y-3 sm:grid-cols-2">
        {to && <Fact name={isCall(to) ? 'Calls' : 'For'}>{to}</Fact>}
        {from && (
          <Fact name="From">
            {account ? (
              <Link href={rowsHref(queue, { account: account.id })} prefetch={false} className={LINK}>
                {from}
              </Link>
            ) : (
              from
            )}
          </Fact>
        )}
        {text && (
          <div className="sm:col-span-2">
            <dt className="text-muted">What</dt>
            <dd className="mt-0.5 rounded-lg bg-sunken p-3 wrap-anywhere whitespace-pre-line">{text}</dd>
          </div>
        )}
        {typeof row.enrolment_id === 'number' && (
          <Fact name="Enrolment">
            <RowLink queue="enrolments" id={String(row.enrolment_id)} />
          </Fact>
        )}
        {group && (
          <Fact name="Error group">
            <Link href={errorHref(queue, group)} prefetch={false} className={LINK}>
              {group}
            </Link>
          </Fact>
        )}
        {actions.length > 0 && (
          <Fact name="Actions">
            {actions.map((id, n) => (
              <span key={id}>
                {n > 0 && ', '}
                <Link href={`/actions/${id}`} prefetch={false} className={LINK}>
                  action {id}
                </Link>
              </span>
            ))}
          </Fact>
        )}
      </dl>
      <details className="text-muted">
        <summary className="cursor-pointer py-1 hover:text-ink">The raw row</summary>
        <pre
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
          tabIndex={0}
          className="mt-1 overflow-x-auto rounded-lg bg-sunken p-3 font-mono text-xs text-ink"
        >
          {JSON.stringify(row, null, 2)}
        </pre>
      </details>
    </Section>
  );
}

/** Whether a job's name is the method and the URL that it calls. */
const isCall = (name: string) => /^[A-Z]+ https?:\/\//.test(name);

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-muted">{name}</dt>
      <dd className="mt-0.5 wrap-anywhere">{children}</dd>
    </div>
  );
}
