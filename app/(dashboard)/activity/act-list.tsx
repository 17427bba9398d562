import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { ClockTime } from '@/components/time/relative-time.tsx';
import type { Act } from '@/lib/operate/audit.ts';
import { type ActNames, actInWords, changesInWords } from './act-in-words.ts';

/** Draws what people did, in words, with their notes and what they changed. */
export function ActList({ acts, names }: { acts: Act[]; names: ActNames }) {
  if (acts.length === 0) return <p className="text-muted">Nobody has changed anything here yet.</p>;
  return (
    <ol className="-my-2 divide-y divide-line">
      {acts.map((act) => {
        const { before, target, href, after } = actInWords(act, names);
        const changes = changesInWords(act);
        return (
          <li key={act.id} className="gap-x-4 py-2 sm:grid sm:grid-cols-[9rem_minmax(0,1fr)]">
            <span className="text-muted">
              <ClockTime at={act.at} />
            </span>
            <div className="min-w-0 wrap-anywhere">
              <p>
                <span className="font-medium">{act.by}</span> {before}{' '}
                {href === null ? (
                  target
                ) : (
                  <Link href={href} prefetch={false} className={LINK}>
                    {target}
                  </Link>
                )}
                {after && ` ${after}`}
              </p>
              {changes.length > 0 && <p className="text-muted">{changes.join(', ')}</p>}
              {act.note && <p className="text-muted">“{act.note}”</p>}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
