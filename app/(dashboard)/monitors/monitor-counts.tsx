import { Meanings } from '@/components/lists/table.tsx';
import type { Monitoring } from '@/lib/store/monitoring.ts';
import { STATE_MEANINGS, STATE_TONES, type StateName } from './monitor-state.tsx';

const ORDER: StateName[] = ['down', 'degraded', 'up', 'new', 'inactive'];
/** Shown even if no monitor is in the state. */
const ALWAYS_SHOWN: StateName[] = ['up', 'degraded', 'down'];

/** Draws the number of monitors in each state. */
export function MonitorCounts({ counts }: { counts: Monitoring['counts'] }) {
  const shown = ORDER.filter((state) => counts[state] > 0 || ALWAYS_SHOWN.includes(state));
  return (
    <div>
      <ul className="flex flex-wrap gap-2">
        {shown.map((state) => (
          <li
            key={state}
            className={`rounded-full px-2.5 py-0.5 ${counts[state] > 0 ? STATE_TONES[state] : 'bg-sunken text-muted'}`}
          >
            <strong className="font-semibold">{counts[state].toLocaleString('en-US')}</strong> {state}
          </li>
        ))}
      </ul>
      <Meanings
        label="What the states mean"
        of={shown.map((word) => ({ word, meaning: STATE_MEANINGS[word] }))}
      />
    </div>
  );
}
