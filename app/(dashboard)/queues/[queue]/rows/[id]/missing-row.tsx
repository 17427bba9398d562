import Link from 'next/link';
import { LINK, rowHref, rowsHref } from '@/components/link.ts';
import { Notice } from '@/components/notice.tsx';

interface MissingRowProps {
  queue: string;
  id: string;
  /** Why there is no row. */
  missing: string;
  /** Queues that have a row with this id. */
  elsewhere: string[];
}

/** Says that a queue has no such row, and where one is. */
export function MissingRow({ queue, id, missing, elsewhere }: MissingRowProps) {
  return (
    <Notice tone="warn" heading="No such row">
      <p className="first-letter:uppercase">{missing}.</p>
      <ul>
        {elsewhere.map((name) => (
          <li key={name}>
            <Link href={rowHref(name, id)} prefetch={false} className={LINK}>
              Row {id} of {name}
            </Link>
          </li>
        ))}
        <li>
          <Link href={rowsHref(queue)} prefetch={false} className={LINK}>
            All rows of {queue}
          </Link>
        </li>
      </ul>
    </Notice>
  );
}
