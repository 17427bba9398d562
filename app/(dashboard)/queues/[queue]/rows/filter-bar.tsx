import Link from 'next/link';
import { PRIMARY_BUTTON } from '@/components/acts/confirm-buttons.tsx';
import { Field, SelectField } from '@/components/acts/field.tsx';
import { InstantField } from '@/components/acts/instant-field.tsx';
import { type Query, queueHref, rowsHref } from '@/components/link.ts';

import { ClockTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { activeParts, FILTER_NAMES } from './filter.ts';

interface FilterBarProps {
  queue: QueueStats;
  filter: Query;
  accounts: { id: string; name: string }[];
}

const RANGES = ['due', 'created', 'finished'];

/** Draws the filter as a plain form, whose address is the filter, and a chip for each part that is set. */
export function FilterBar({ queue, filter, accounts }: FilterBarProps) {
  const parts = activeParts(filter);
  const filterField = (name: string) => ({
    name,
    defaultValue: filter[name] ?? '',
    autoComplete: 'off',
  });
  const isDeep = parts.some(({ name }) => name !== 'text' && name !== 'account');
  return (
    <div className="grid gap-3">
      {/* A new address is a new form: its fields show the filter. */}
      <form key={JSON.stringify(filter)} action={queueHref(queue.name, '/rows')} className="grid gap-3">
        {filter.status && <input type="hidden" name="status" value={filter.status} />}
        {filter.sort && <input type="hidden" name="sort" value={filter.sort} />}
        {filter.decide && <input type="hidden" name="decide" value={filter.decide} />}
        <div className="flex flex-wrap items-end gap-3">
          <Field
            {...filterField('text')}
            label="Text of the error, or a row’s id"
            className="grow basis-64"
          />
          {accounts.length > 0 && (
            <SelectField
              name="account"
              label="Account"
              defaultValue={filter.account ?? ''}
              className="grow basis-48"
            >
              <option value="">any</option>
              {accounts.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </SelectField>
          )}
          <button type="submit" className={PRIMARY_BUTTON}>
            Filter
          </button>
        </div>
        <details open={isDeep} className="text-muted">
          <summary className="cursor-pointer py-1 hover:text-ink">More filters</summary>
          <div className="mt-2 grid gap-3 text-ink sm:grid-cols-2 lg:grid-cols-3">
            <Field {...filterField('to')} label="For: recipient or chat" />
            <Field {...filterField('error')} label="Error group, its id" />
            <Field {...filterField('error_kind')} label="Kind of error, such as rejected" />
            {queue.partitions.length > 0 && (
              <SelectField name="partition" label="Partition" defaultValue={filter.partition ?? ''}>
                <option value="">any</option>
                {queue.partitions.map(({ name }) => (
                  <option key={name}>{name}</option>
                ))}
              </SelectField>
            )}
            <Field {...filterField('tick')} label="Tick, its id" />
            <Field {...filterField('action')} label="Action, its number" />
            {RANGES.map((range) => (
              <fieldset key={range} className="grid grid-cols-2 gap-2">
                <InstantField
                  name={`${range}_from`}
                  label={capital(FILTER_NAMES[`${range}_from`])}
                  value={filter[`${range}_from`]}
                />
                <InstantField
                  name={`${range}_to`}
                  label={capital(FILTER_NAMES[`${range}_to`])}
                  value={filter[`${range}_to`]}
                />
              </fieldset>
            ))}
          </div>
        </details>
      </form>
      {parts.length > 0 && (
        <ul aria-label="Filters" className="flex flex-wrap gap-2">
          {parts.map(({ name, value }) => (
            <li
              key={name}
              className="inline-flex max-w-full items-center gap-1 rounded-full border border-line-strong pl-3"
            >
              <span className="truncate">
                <span className="text-muted">{FILTER_NAMES[name]}</span>{' '}
                {name !== 'decide' && <Value name={name} value={value} accounts={accounts} />}
              </span>
              <Link
                href={rowsHref(queue.name, { ...filter, [name]: undefined })}
                prefetch={false}
                aria-label={`Remove the filter ${FILTER_NAMES[name]}`}
                className="inline-flex size-8 shrink-0 items-center justify-center rounded-full text-muted hover:text-ink"
              >
                ×
              </Link>
            </li>
          ))}
          <li className="self-center">
            <Link
              href={rowsHref(queue.name, { status: filter.status })}
              prefetch={false}
              className="px-1 py-2 text-muted underline underline-offset-4 hover:text-ink"
            >
              Remove all
            </Link>
          </li>
        </ul>
      )}
    </div>
  );
}

function Value({
  name,
  value,
  accounts,
}: {
  name: string;
  value: string;
  accounts: FilterBarProps['accounts'];
}) {
  if (/_(from|to)$/.test(name) && !Number.isNaN(Date.parse(value))) return <ClockTime at={value} />;
  if (name === 'account') return accounts.find(({ id }) => id === value)?.name ?? value.slice(0, 8);
  return name === 'tick' ? value.slice(0, 8) : value;
}

function capital(text = ''): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
