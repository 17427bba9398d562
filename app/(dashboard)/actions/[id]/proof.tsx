import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import { VERDICTS } from '@/components/verdict-words.ts';
import type { Action, ActionProof } from '@/lib/operate/rows/actions.ts';
import { plural } from '@/lib/stats/plural.ts';
import { proofLines } from './proof-lines.ts';

interface ProofProps {
  action: Action;
  proof: ActionProof;
  isFirst: boolean;
}

/** Draws what the evidence shows of the rows that an action changed. */
export function Proof({ action: { id, written }, proof, isFirst }: ProofProps) {
  const isAll = isFirst && proof.next === null;
  return (
    <Section
      id="proof"
      heading="Was each sent once?"
      aside={
        <p className="text-muted">
          {isAll
            ? `${plural(proof.rows, 'row')} counted`
            : `${proof.rows.toLocaleString('en-US')} of ${plural(written, 'row')} counted here`}
        </p>
      }
    >
      <div>
        <ul className="divide-y divide-line border-y border-line">
          {proofLines(proof).map(({ verdict, count, isProved }) => (
            <li key={verdict} className="flex items-baseline justify-between gap-4 py-2">
              <span className="min-w-0 first-letter:uppercase">{VERDICTS[verdict].rows}</span>
              <span className={`font-semibold ${isProved ? 'text-good' : VERDICTS[verdict].tone}`}>
                {count.toLocaleString('en-US')}
                {isProved && <span> ✓</span>}
              </span>
            </li>
          ))}
        </ul>
        <p className="mt-2 text-muted">
          From answers to attempts, receipts, checks and decisions, before the action and since.
        </p>
        {!isAll && (
          <p className="mt-2 flex gap-4">
            {!isFirst && (
              <Link href={`/actions/${id}`} prefetch={false} className={LINK}>
                First rows
              </Link>
            )}
            {proof.next && (
              <Link
                href={`/actions/${id}?cursor=${encodeURIComponent(proof.next)}`}
                prefetch={false}
                className={LINK}
              >
                Count the next rows
              </Link>
            )}
          </p>
        )}
      </div>
    </Section>
  );
}
