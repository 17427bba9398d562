import Link from 'next/link';
import { Meanings } from '@/components/lists/table.tsx';
import type { Sequence } from '@/lib/store/conversations.ts';
import { PHASES } from './enrolment-words.ts';

/** Draws the number of people in each phase, each with a link to them. */
export function PhaseCounts({ sequence: { id, funnel } }: { sequence: Pick<Sequence, 'id' | 'funnel'> }) {
  const { phases, paused } = funnel;
  return (
    <div>
      <ul className="flex flex-wrap gap-2">
        {PHASES.map(({ phase, label, tone }) => (
          <li key={phase}>
            <Link
              href={`/sequences/${id}?phase=${phase}`}
              prefetch={false}
              className={`block rounded-full px-2.5 py-0.5 hover:underline ${phases[phase] > 0 ? tone : 'bg-sunken text-muted'}`}
            >
              <strong className="font-semibold">{phases[phase].toLocaleString('en-US')}</strong> {label}
            </Link>
          </li>
        ))}
        {paused > 0 && (
          <li className="rounded-full bg-warn-tint px-2.5 py-0.5 text-warn">
            <strong className="font-semibold">{paused.toLocaleString('en-US')}</strong> paused
          </li>
        )}
      </ul>
      <Meanings
        label="What the phases mean"
        of={[
          ...PHASES.map(({ label, meaning }) => ({ word: label, meaning })),
          { word: 'paused', meaning: 'paused while in progress or waiting for a reply' },
        ]}
      />
    </div>
  );
}
