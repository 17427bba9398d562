import Link from 'next/link';
import type { ReactNode } from 'react';
import { ActForm } from '@/components/acts/act-form.tsx';
import { PRIMARY_BUTTON, SECONDARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { Field } from '@/components/acts/field.tsx';
import { queueHref, rowsHref } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import type { ErrorGroupWithSamples } from '@/lib/store/story/error-group.ts';
import { deadRows, kindInWords } from '../error-words.ts';
import { HourBars } from '../hour-bars.tsx';
import { markKnown, markNew } from './mark-error.ts';

interface GroupSummaryProps {
  queue: QueueStats;
  group: ErrorGroupWithSamples;
  mayAct: boolean;
}

/** Draws what an error means, how often and since when it happens, and what a person can do about it. */
export function GroupSummary({ queue, group, mayAct }: GroupSummaryProps) {
  const { words, name } = queue;
  const filter = { error: group.id, status: words.dead };
  const failed = `${words.dead} now`;
  return (
    <Section id="error" heading="What it means">
      <div>
        <p className="rounded-lg bg-sunken px-3 py-2 font-mono text-[0.8125rem] wrap-anywhere">
          {group.example ?? group.text}
        </p>
        <p className="mt-3 max-w-prose">{kindInWords(group.kind, queue).meaning}</p>
      </div>
      <dl className="grid grid-cols-2 gap-x-4 gap-y-5 sm:grid-cols-3 lg:grid-cols-6">
        <Figure name={failed}>{deadRows(group)}</Figure>
        <Figure name="Accounts">{group.accounts ?? '–'}</Figure>
        <Figure name="First seen">
          <ClockTime at={group.first_at} />
        </Figure>
        <Figure name="Last seen">
          <RelativeTime at={group.last_at} />
        </Figure>
        <div className="col-span-2">
          <dt className="text-muted">Last 24 hours</dt>
          <dd className="mt-1 flex items-end gap-3">
            <HourBars hours={group.hours} className="h-8 w-40" />
            <span className="text-muted">{group.events_24h.toLocaleString('en-US')} attempts</span>
          </dd>
        </div>
      </dl>
      <div className="flex flex-wrap gap-2">
        {mayAct && group.rows_dead > 0 && (
          <Link
            href={queueHref(name, `/act?${new URLSearchParams({ act: 'retry', ...filter })}`)}
            prefetch={false}
            className={`inline-flex items-center ${PRIMARY_BUTTON}`}
          >
            Retry {deadRows(group)} {group.rows_dead === 1 ? 'row' : 'rows'}…
          </Link>
        )}
        <Link
          href={rowsHref(name, group.rows_dead > 0 ? filter : { error: group.id })}
          prefetch={false}
          className={`inline-flex items-center ${SECONDARY_BUTTON}`}
        >
          Open rows
        </Link>
      </div>
      <Known queue={name} group={group} mayAct={mayAct} />
    </Section>
  );
}

function Known({ queue, group, mayAct }: { queue: string; group: ErrorGroupWithSamples; mayAct: boolean }) {
  const { known_at: at, known_by: by, known_note: note, id } = group;
  if (at !== null)
    return (
      <div className="grid gap-2">
        <p>
          {by} marked it as known <RelativeTime at={at} />
          {note && `: ${note}`}
        </p>
        {mayAct && <ActForm key="new" act={markNew.bind(null, queue, id)} submit="Mark as new again" />}
      </div>
    );
  if (!mayAct) return null;
  return (
    <ActForm
      key="known"
      act={markKnown.bind(null, queue, id)}
      submit="Mark as known"
      className="grid max-w-xl gap-3"
    >
      <Field
        name="note"
        label="Note"
        maxLength={1_000}
        placeholder="ticket 4711: list is being repaired"
        hint="A known error no longer stands under “Needs you”. The note is recorded with your name."
      />
    </ActForm>
  );
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-muted">{name}</dt>
      <dd className="mt-0.5 text-base font-semibold tracking-tight">{children}</dd>
    </div>
  );
}
