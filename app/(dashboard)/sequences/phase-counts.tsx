import type { Funnel } from '@/lib/store/conversations.ts';
import { PHASES } from './enrolment-words.ts';

/** Draws the number of people in each phase. */
export function PhaseCounts({ funnel: { phases, paused } }: { funnel: Funnel }) {
  return (
    <ul className="flex flex-wrap gap-2">
      {PHASES.map(({ phase, label, meaning, tone }) => (
        <li
          key={phase}
          title={meaning}
          className={`rounded-full px-2.5 py-0.5 ${phases[phase] > 0 ? tone : 'bg-sunken text-muted'}`}
        >
          <strong className="font-semibold">{phases[phase].toLocaleString('en-US')}</strong> {label}
        </li>
      ))}
      {paused > 0 && (
        <li
          title="paused while in progress or waiting for a reply"
          className="rounded-full bg-warn-tint px-2.5 py-0.5 text-warn"
        >
          <strong className="font-semibold">{paused.toLocaleString('en-US')}</strong> paused
        </li>
      )}
    </ul>
  );
}
