import type { ReactNode } from 'react';

export interface Column<Item> {
  head: string;
  /** The tooltip of the head. */
  title?: string;
  /** The classes of the head and the cells. */
  className?: string;
  /** The classes of the cells. */
  cellClass?: string | ((item: Item) => string);
  /** The cells are the heads of their rows. */
  isRowHead?: boolean;
  cell: (item: Item, index: number) => ReactNode;
}

interface ResponsiveTableProps<Item> {
  items: Item[];
  columns: Column<Item>[];
  keyOf: (item: Item) => string;
  /** The classes of a row of the table. */
  rowClass: (item: Item, index: number) => string;
  /** Draws an item on a narrow screen. */
  card: (item: Item) => ReactNode;
  cardClass: (item: Item) => string;
  /** The classes of the list of cards. */
  listClass?: string;
  /** The class of the margin above the table and the list. */
  margin?: string;
  /** The least width of a screen that shows the table. */
  from?: keyof typeof widths;
}

const widths = {
  md: { table: 'hidden md:table', list: 'md:hidden' },
  lg: { table: 'hidden lg:table', list: 'lg:hidden' },
};

/** Draws items as a table on wide screens and as cards on narrow ones. */
export function ResponsiveTable<Item>({
  items,
  columns,
  keyOf,
  rowClass,
  card,
  cardClass,
  listClass = '',
  margin = '',
  from = 'md',
}: ResponsiveTableProps<Item>) {
  return (
    <>
      <table className={`${margin} w-full border-collapse ${widths[from].table}`}>
        <thead>
          <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
            {columns.map(({ head, title, className }) => (
              <th key={head} scope="col" title={title} className={className}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item, index) => (
            <tr key={keyOf(item)} className={`align-baseline ${rowClass(item, index)}`}>
              {columns.map(({ head, className = '', cellClass = '', isRowHead, cell }) => {
                const ownClass = typeof cellClass === 'string' ? cellClass : cellClass(item);
                return isRowHead ? (
                  <th key={head} scope="row" className={`text-left font-normal ${className} ${ownClass}`}>
                    {cell(item, index)}
                  </th>
                ) : (
                  <td key={head} className={`${className} ${ownClass}`}>
                    {cell(item, index)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <ul className={`${margin} ${listClass} ${widths[from].list}`}>
        {items.map((item) => (
          <li key={keyOf(item)} className={`grid grid-cols-[minmax(0,1fr)] ${cardClass(item)}`}>
            {card(item)}
          </li>
        ))}
      </ul>
    </>
  );
}
