import Link from 'next/link';
import { LINK, type Query, rowHref } from './link.ts';

/** Links a row’s id to its page. `from`: the list that it stands in. */
export function RowLink({ queue, id, from }: { queue: string; id: string; from?: Query }) {
  return (
    <Link href={rowHref(queue, id, from)} prefetch={false} className={`font-mono ${LINK}`}>
      <span className="sr-only">row </span>
      {id}
    </Link>
  );
}
