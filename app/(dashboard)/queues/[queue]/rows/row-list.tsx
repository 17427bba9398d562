import Link from 'next/link';
import { errorHref, LINK, type Query, rowsHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { RowLink } from '@/components/row-link.tsx';
import { Section } from '@/components/section.tsx';
import { STATES, StateBadge, stateOf } from '@/components/state-badge.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { Page } from '@/lib/http/page.ts';
import type { RowCount } from '@/lib/operate/rows/list-rows.ts';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { actsOn, VERBS } from '../../../actions/action-words.ts';
import { rowSummary } from '../needs-you/row-summary.ts';
import { countWords } from './filter.ts';
import { listOf } from './place.ts';
import { SelectionBar } from './selection-bar.tsx';

/** Rows of a page. */
export const pageSize = 50;

interface RowListProps {
  queue: QueueStats;
  filter: Query;
  page: Page<ListedRow> & { count?: RowCount };
  isFirst: boolean;
  mayAct: boolean;
}

/** Draws a page of the rows that match a filter, with the acts that their states allow. */
export function RowList({ queue, filter, page: { items, next, count }, isFirst, mayAct }: RowListProps) {
  const states = filter.status?.split(',').flatMap((word) => stateOf(queue.words, word) ?? []) ?? STATES;
  const acts = mayAct && items.length > 0 ? actsOn(states, queue.delivery) : [];
  const matching = count ? countWords(count) : '';
  return (
    <Section id="rows" heading="Rows" aside={<p className="text-muted">{matching}</p>}>
      <div>
        {acts.length > 0 && (
          <SelectionBar
            queue={queue.name}
            filter={filter}
            matching={matching}
            acts={acts.map((act) => ({ act, label: `${VERBS[act]}…` }))}
          />
        )}
        {items.length === 0 && !next && <p className="text-muted">No row matches.</p>}
        {items.length > 0 && (
          <Table
            label="Rows"
            items={items}
            columns={columnsOf(queue, filter, acts.length > 0)}
            keyOf={({ id }) => id}
          />
        )}
        <More queue={queue.name} filter={filter} next={next} isFirst={isFirst} found={items.length} />
      </div>
    </Section>
  );
}

function More({
  queue,
  filter,
  next,
  isFirst,
  found,
}: {
  queue: string;
  filter: Query;
  next: string | null;
  isFirst: boolean;
  found: number;
}) {
  if (isFirst && next === null) return null;
  // A page ends early once it has read 20,000 rows.
  const isBound = next !== null && found < pageSize;
  return (
    <nav aria-label="More rows" className="mt-3 flex flex-wrap items-baseline gap-x-4">
      {!isFirst && (
        <Link href={rowsHref(queue, filter)} prefetch={false} className={`${LINK} py-2`}>
          First page
        </Link>
      )}
      {isBound && <span className="text-muted">Searched 20,000 rows.</span>}
      {next !== null && (
        <Link href={rowsHref(queue, { ...filter, cursor: next })} prefetch={false} className={`${LINK} py-2`}>
          {isBound ? 'Continue' : 'Next page'}
        </Link>
      )}
    </nav>
  );
}

function columnsOf(queue: QueueStats, filter: Query, isSelectable: boolean): Column<ListedRow>[] {
  return [
    {
      head: 'row',
      isRowHead: true,
      cell: (row) => (
        <span className="inline-flex items-center gap-2">
          {isSelectable && (
            <input
              type="checkbox"
              name="id"
              value={row.id}
              form="selection"
              aria-label={`Select row ${row.id}`}
              className="size-6 md:size-4"
            />
          )}
          <RowLink queue={queue.name} id={row.id} from={listOf(queue.words, filter, row)} />
        </span>
      ),
    },
    { head: 'state', cell: ({ status }) => <StateBadge words={queue.words} word={status} /> },
    { head: 'for', className: 'md:min-w-36', cell: (row) => <ForWhom row={row} /> },
    {
      head: 'what',
      cell: (row) => (
        <span className="line-clamp-2 text-muted wrap-anywhere">{rowSummary(row).text ?? '–'}</span>
      ),
    },
    { head: 'due', cell: ({ due_at }) => <When at={due_at} /> },
    { head: 'attempts', isNumber: true, className: 'max-md:hidden', cell: ({ attempts }) => attempts },
    {
      head: 'last error',
      cell: (row) => row.last_error && <LastError queue={queue.name} row={row} filter={filter} />,
    },
    {
      head: 'last change',
      className: 'max-md:hidden',
      cell: ({ finished_at, row }) => (
        <When at={finished_at ?? instant(row.claimed_at) ?? instant(row.created_at)} />
      ),
    },
  ];
}

function ForWhom({ row }: { row: ListedRow }) {
  const { from, to } = rowSummary(row);
  return (
    <span className="wrap-anywhere">
      {to ?? '–'}
      {from && <span className="block text-xs text-muted">from {from}</span>}
    </span>
  );
}

/** Links to the other rows of its group, or from these to the group’s page. */
function LastError({
  queue,
  row: { last_error, error_group },
  filter,
}: {
  queue: string;
  row: ListedRow;
  filter: Query;
}) {
  if (!error_group) return <span className="line-clamp-2 wrap-anywhere">{last_error}</span>;
  const href =
    filter.error === error_group
      ? errorHref(queue, error_group)
      : rowsHref(queue, { ...filter, error: error_group });
  return (
    <Link
      href={href}
      prefetch={false}
      className="line-clamp-2 underline decoration-line-strong underline-offset-4 wrap-anywhere hover:decoration-current"
    >
      {last_error}
    </Link>
  );
}

function When({ at }: { at: string | null }) {
  return at === null ? <span className="text-muted">–</span> : <RelativeTime at={at} />;
}

function instant(value: unknown): string | null {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? value : null;
}
