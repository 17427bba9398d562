import { VERDICTS, type Verdict } from '@/components/verdict-words.ts';
import type { ActionProof } from '@/lib/operate/rows/actions.ts';

export interface ProofLine {
  verdict: Verdict;
  count: number;
  /** Counted, and none was found: the promise holds. */
  isProved: boolean;
}

/** Counts that are shown although they are zero. */
const PROMISES: Verdict[] = ['twice', 'may_be_twice'];

/** Returns a line for each verdict that rows have, the worst first, and for each that none may have. Nothing if no row was counted. */
export function proofLines({ rows, verdicts }: Pick<ActionProof, 'rows' | 'verdicts'>): ProofLine[] {
  if (rows === 0) return [];
  return (Object.keys(VERDICTS) as Verdict[]).flatMap((verdict) => {
    const count = verdicts[verdict] ?? 0;
    const isProved = count === 0 && PROMISES.includes(verdict);
    return count > 0 || isProved ? [{ verdict, count, isProved }] : [];
  });
}
