import type { ReactNode } from 'react';

export interface Column<Item> {
  head: string;
  /** Of the head. */
  title?: string;
  /** Of the head and the cells. */
  className?: string;
  /** Of the cells. */
  cellClass?: string | ((item: Item) => string);
  /** The cell names the row. */
  isRowHead?: boolean;
  cell: (item: Item, index: number) => ReactNode;
}

interface ResponsiveTableProps<Item> {
  items: Item[];
  columns: Column<Item>[];
  keyOf: (item: Item) => string;
  /** Of a row of the table. */
  rowClass: (item: Item, index: number) => string;
  /** One item on a narrow screen. */
  card: (item: Item) => ReactNode;
  cardClass: (item: Item) => string;
  /** Of the list of cards. */
  listClass?: string;
  /** Above table and list. */
  margin?: string;
  /** The width of a screen from which there is the table. */
  from?: keyof typeof widths;
}

const widths = {
  md: { table: 'hidden md:table', list: 'md:hidden' },
  lg: { table: 'hidden lg:table', list: 'lg:hidden' },
};

/** The same items as a table on wide screens, and as cards on narrow ones. */
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
                const own = typeof cellClass === 'string' ? cellClass : cellClass(item);
                return isRowHead ? (
                  <th key={head} scope="row" className={`text-left font-normal ${className} ${own}`}>
                    {cell(item, index)}
                  </th>
                ) : (
                  <td key={head} className={`${className} ${own}`}>
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
