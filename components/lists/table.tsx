import type { ReactNode } from 'react';

export interface Column<Item> {
  head: string;
  /** What the column shows, for the list below the table. */
  meaning?: string;
  /** Aligned to the right. */
  isNumber?: boolean;
  /** The classes of the head and the cells. */
  className?: string;
  /** The cells are the heads of their rows. */
  isRowHead?: boolean;
  /** Null leaves the cell out of a stacked row. */
  cell: (item: Item, index: number) => ReactNode;
}

interface TableProps<Item> {
  /** Its name for screen readers. */
  label: string;
  items: Item[];
  columns: Column<Item>[];
  keyOf: (item: Item) => string;
  /** The classes of a row. */
  rowClass?: (item: Item, index: number) => string;
}

/**
 * Draws items as a table. A narrow screen shows the same rows stacked: `.stacked-table` in `app/globals.css`. The roles are explicit because a
 * browser forgets those of a table that CSS lays out otherwise.
 */
export function Table<Item>({ label, items, columns, keyOf, rowClass }: TableProps<Item>) {
  return (
    <>
      {/* biome-ignore-start lint/a11y/noRedundantRoles: see above. */}
      <table aria-label={label} role="table" className="stacked-table">
        <thead role="rowgroup">
          <tr role="row">
            {columns.map((column) => (
              <th key={column.head} role="columnheader" scope="col" className={classOf(column)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {items.map((item, index) => (
            <tr key={keyOf(item)} role="row" className={rowClass?.(item, index)}>
              {columns.map((column) => {
                const content = column.cell(item, index);
                return column.isRowHead ? (
                  <th key={column.head} role="rowheader" scope="row" className={classOf(column)}>
                    {content}
                  </th>
                ) : (
                  <td key={column.head} role="cell" data-label={column.head} className={classOf(column)}>
                    {content}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {/* biome-ignore-end lint/a11y/noRedundantRoles: see above. */}
      <Meanings of={columns.flatMap(({ head, meaning }) => (meaning ? [{ word: head, meaning }] : []))} />
    </>
  );
}

function classOf<Item>({ isNumber, className = '' }: Column<Item>): string | undefined {
  return `${isNumber ? 'is-number ' : ''}${className}`.trim() || undefined;
}

/** Explains words, folded at first. Draws nothing without any. */
export function Meanings({
  of,
  label = 'What the columns say',
}: {
  of: { word: string; meaning: string }[];
  label?: string;
}) {
  if (of.length === 0) return null;
  return (
    <details className="mt-2 text-muted">
      <summary className="cursor-pointer py-1 hover:text-ink">{label}</summary>
      <dl className="mt-1 grid gap-x-4 gap-y-1 sm:grid-cols-[max-content_minmax(0,1fr)]">
        {of.map(({ word, meaning }) => (
          <div key={word} className="sm:contents">
            <dt className="font-medium text-ink">{word}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
