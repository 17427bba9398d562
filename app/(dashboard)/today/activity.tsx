import Link from 'next/link';
import { LINK } from '@/components/link.ts';
import { Section } from '@/components/section.tsx';
import type { Act } from '@/lib/operate/audit.ts';
import type { ActNames } from '../activity/act-in-words.ts';
import { ActList } from '../activity/act-list.tsx';

/** Draws the last acts of people. Draws nothing before the first. */
export function Activity({ acts, names }: { acts: Act[]; names: ActNames }) {
  if (acts.length === 0) return null;
  return (
    <Section id="activity" heading="Activity">
      <ActList acts={acts} names={names} />
      <p>
        <Link href="/activity" prefetch={false} className={`${LINK} py-2`}>
          All activity
        </Link>
      </p>
    </Section>
  );
}
