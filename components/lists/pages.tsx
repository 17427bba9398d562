import { useState } from 'react';

/** A person's place in a list that is read page by page. */
export interface Pages {
  /** The URL of the page that is shown. */
  url: string;
  isFirst: boolean;
  /** Shows the page at a cursor; null is the first page. */
  turn: (cursor: string | null) => void;
}

/** Keeps the place in a list. `url` is its first page's, with a query. A new `url` starts at the first page. */
export function usePages(url: string): Pages {
  const [place, setPlace] = useState<{ url: string; cursor: string | null }>({ url, cursor: null });
  const cursor = place.url === url ? place.cursor : null;
  return {
    url: cursor === null ? url : `${url}&cursor=${cursor}`,
    isFirst: cursor === null,
    turn: (to) => setPlace({ url, cursor: to }),
  };
}

interface PageLinksProps {
  pages: Pages;
  /** The cursor of the next page, from the response. */
  next: string | null | undefined;
  /** The labels of the links to the first page and to the next one. */
  first?: string;
  more?: string;
}

/** Draws the links below a list. Draws nothing if it has only one page. */
export function PageLinks({ pages, next, first = 'Newest', more = 'Older' }: PageLinksProps) {
  if (pages.isFirst && !next) return null;
  return (
    <p className="mt-2 flex gap-4">
      {!pages.isFirst && <PageLink onClick={() => pages.turn(null)}>{first}</PageLink>}
      {next && <PageLink onClick={() => pages.turn(next)}>{more}</PageLink>}
    </p>
  );
}

function PageLink({ onClick, children }: { onClick: () => void; children: string }) {
  return (
    <button
      type="button"
      className="min-h-9 cursor-pointer text-accent underline decoration-line-strong underline-offset-4 hover:decoration-current"
      onClick={onClick}
    >
      {children}
    </button>
  );
}
