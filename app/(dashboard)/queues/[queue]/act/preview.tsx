import Link from 'next/link';
import { LINK, type Query, queryString, queueHref, rowHref, rowsHref } from '@/components/link.ts';
import { Notice } from '@/components/notice.tsx';
import { RowLink } from '@/components/row-link.tsx';
import { Section } from '@/components/section.tsx';
import type { ActionPreview } from '@/lib/operate/rows/actions.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { EFFECTS, leftWords, VERBS } from '../../../actions/action-words.ts';
import { rowSummary } from '../needs-you/row-summary.ts';
import { activeParts, countWords, FILTER_NAMES } from '../rows/filter.ts';
import { ConfirmForm } from './confirm-form.tsx';
import type { ActRequest } from './request.ts';

interface PreviewProps {
  queue: QueueStats;
  request: ActRequest;
  /** Null if the rows were chosen one by one. */
  filter: Query | null;
  preview: ActionPreview;
  /** The name that is recorded; null for a viewer. */
  visitor: string | null;
}

/** Draws what an action would change and what it would leave, and the form that confirms it. */
export function Preview({ queue, request, filter, preview, visitor }: PreviewProps) {
  const { count, more, left, sample } = preview;
  const { action, ids, confirm } = request;
  const rows = countWords({ count, more });
  const back = ids?.length === 1 && ids[0] ? rowHref(queue.name, ids[0]) : rowsHref(queue.name, filter ?? {});
  return (
    <Section id="what" heading="What it would do" aside={filter && <FilterWords filter={filter} />}>
      <div className="grid gap-2">
        <p className="text-base font-semibold">
          {count === 0
            ? 'It would change nothing.'
            : `It changes ${rows}${confirm ? ', also those that may have been sent' : ''}.`}
        </p>
        {count > 0 && <p className="text-muted">{EFFECTS[action]}</p>}
        <ul className="grid gap-1">
          {Object.entries(left).map(([reason, { count, sample }]) => (
            <li key={reason} className="text-warn">
              {leftWords(reason, count)}
              {': '}
              {sample.map((id, n) => (
                <span key={id}>
                  {n > 0 && ', '}
                  <RowLink queue={queue.name} id={id} />
                </span>
              ))}
              {count > sample.length && ', …'}
            </li>
          ))}
        </ul>
      </div>
      {(left.may_have_been_sent || confirm) && <Twice queue={queue.name} request={request} filter={filter} />}
      {sample.length > 0 && (
        <ul aria-label="Examples" className="divide-y divide-line border-y border-line">
          {sample.map((row) => (
            <li key={row.id} className="flex min-w-0 gap-3 py-1.5">
              <RowLink queue={queue.name} id={row.id} />
              <span className="truncate text-muted">
                {[rowSummary(row).to, rowSummary(row).text].filter(Boolean).join(': ')}
              </span>
            </li>
          ))}
        </ul>
      )}
      {visitor === null && <p className="text-muted">You are signed in to look only.</p>}
      {visitor !== null && count > 0 && (
        <ConfirmForm
          queue={queue.name}
          rows={JSON.stringify(request)}
          action={action}
          label={`${VERBS[action]}${action === 'prioritise' ? ' of' : ''} ${rows}`}
          count={count}
          expect={more ? null : count}
          newKey={crypto.randomUUID()}
          visitor={visitor}
          back={back}
        />
      )}
      {(visitor === null || count === 0) && (
        <p>
          <Link href={back} prefetch={false} className={LINK}>
            Go back
          </Link>
        </p>
      )}
    </Section>
  );
}

function FilterWords({ filter }: { filter: Query }) {
  const parts = activeParts(filter).map(({ name, value }) => `${FILTER_NAMES[name]} ${value}`);
  return (
    <p className="text-muted wrap-anywhere">Rows: {[filter.status, ...parts].filter(Boolean).join(' · ')}</p>
  );
}

/** Warns of a second delivery, with the link to take these rows in or out. */
function Twice({
  queue,
  request: { action, ids, confirm },
  filter,
}: Omit<PreviewProps, 'preview' | 'visitor' | 'queue'> & { queue: string }) {
  const list = ids?.map((id) => `&id=${encodeURIComponent(id)}`).join('') ?? '';
  const href = (confirm?: string) =>
    `${queueHref(queue, `/act${queryString({ ...filter, act: action, confirm })}`)}${list}`;
  return confirm ? (
    <Notice tone="warn" heading="Some of these messages may be sent twice">
      An attempt of them was uncertain, and nothing proves that it was not sent.{' '}
      <Link href={href()} prefetch={false} className={LINK}>
        Leave them as they are
      </Link>
    </Notice>
  ) : (
    <p>
      <Link href={href('may_send_twice')} prefetch={false} className={LINK}>
        Retry these, too: they may be sent twice
      </Link>
    </p>
  );
}
