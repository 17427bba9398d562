import Link from 'next/link';
import { LINK } from '../link.ts';

interface PageLinksProps {
  /** The address of the first page; null if it is shown. */
  first: string | null;
  /** The address of the next page; null on the last one. */
  next: string | null;
  labels?: { first: string; next: string };
}

/** Draws the links below a list. Draws nothing if it has only one page. */
export function PageLinks({ first, next, labels = { first: 'Newest', next: 'Older' } }: PageLinksProps) {
  if (first === null && next === null) return null;
  return (
    <nav aria-label="Pages" className="mt-2 flex gap-4">
      {first && (
        <Link href={first} prefetch={false} className={`${LINK} py-2`}>
          {labels.first}
        </Link>
      )}
      {next && (
        <Link href={next} prefetch={false} className={`${LINK} py-2`}>
          {labels.next}
        </Link>
      )}
    </nav>
  );
}
