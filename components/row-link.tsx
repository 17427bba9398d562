import Link from 'next/link';
import { LINK, rowHref } from './link.ts';

/** Links a row’s id to its page. */
export function RowLink({ queue, id }: { queue: string; id: string }) {
  return (
    <Link href={rowHref(queue, id)} prefetch={false} className={`font-mono ${LINK}`}>
      <span className="sr-only">row </span>
      {id}
    </Link>
  );
}
