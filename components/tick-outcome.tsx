import type { LedgerTick } from '@/lib/store/ticks.ts';

const TONES: Record<LedgerTick['outcome'], string> = {
  ran: 'bg-good-tint text-good',
  running: 'bg-busy-tint text-busy',
  idle: 'bg-sunken text-muted',
  skipped: 'bg-sunken text-muted',
  paused: 'bg-warn-tint text-warn',
  died: 'bg-bad-tint text-bad',
};

export const OUTCOME_MEANINGS: Record<LedgerTick['outcome'], string> = {
  ran: 'It claimed rows and settled them.',
  running: 'It is running now.',
  idle: 'Nothing was due.',
  skipped: 'Another tick of this queue was running.',
  paused: 'It claimed nothing: the queue was paused.',
  died: 'It did not close before its limit. A later tick sweeps its rows.',
};

/** Draws a tick's outcome, and marks continuations and duplicates. */
export function TickOutcome({ tick }: { tick: Pick<LedgerTick, 'outcome' | 'continuation' | 'duplicate'> }) {
  return (
    <span className="inline-flex flex-wrap items-center gap-1.5 whitespace-nowrap">
      <span className={`rounded-full px-2 py-0.5 text-xs font-medium ${TONES[tick.outcome]}`}>
        {tick.outcome}
      </span>
      {tick.continuation > 0 && <Mark>continuation {tick.continuation}</Mark>}
      {tick.duplicate && <Mark>duplicate</Mark>}
    </span>
  );
}

function Mark({ children }: { children: React.ReactNode }) {
  return (
    <span className="rounded-full border border-line-strong px-2 py-0.5 text-xs text-muted">{children}</span>
  );
}
