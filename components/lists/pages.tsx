import { useState } from 'react';

/** Where somebody is in a list that comes page by page. */
export interface Pages {
  /** Of the page that is shown. */
  url: string;
  isFirst: boolean;
  /** On to the page of that cursor; null: the first. */
  turn: (cursor: string | null) => void;
}

/** `url`, with its query, is that of the first page. Another one begins at its own. */
export function usePages(url: string): Pages {
  const [turned, setTurned] = useState<{ url: string; cursor: string | null }>({ url, cursor: null });
  const cursor = turned.url === url ? turned.cursor : null;
  return {
    url: cursor === null ? url : `${url}&cursor=${cursor}`,
    isFirst: cursor === null,
    turn: (to) => setTurned({ url, cursor: to }),
  };
}

interface PageLinksProps {
  pages: Pages;
  /** Of the page that is shown, as its list answers it. */
  next: string | null | undefined;
  /** What leads to the first page, and to the next. */
  first?: string;
  more?: string;
}

/** Below a list; nothing where one page is all. */
export function PageLinks({ pages, next, first = 'Newest', more = 'Older' }: PageLinksProps) {
  if (pages.isFirst && !next) return null;
  return (
    <p className="mt-2 flex gap-4">
      {!pages.isFirst && <Turn onClick={() => pages.turn(null)}>{first}</Turn>}
      {next && <Turn onClick={() => pages.turn(next)}>{more}</Turn>}
    </p>
  );
}

function Turn({ onClick, children }: { onClick: () => void; children: string }) {
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
