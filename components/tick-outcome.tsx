import type { LedgerTick } from '@/lib/store/stats.ts';

const TONES: Record<LedgerTick['outcome'], string> = {
  ran: 'bg-good-tint text-good',
  running: 'bg-busy-tint text-busy',
  idle: 'bg-sunken text-muted',
  skipped: 'bg-sunken text-muted',
  paused: 'bg-warn-tint text-warn',
  died: 'bg-bad-tint text-bad',
};

const MEANINGS: Record<LedgerTick['outcome'], string> = {
  ran: 'It claimed rows and settled them.',
  running: 'It is running now.',
  idle: 'Nothing was due.',
  skipped: 'Another tick of this queue was running.',
  paused: 'It claimed nothing: the queue was paused.',
  died: 'It did not close before its limit. A later tick sweeps its rows.',
};

/** Draws a tick's outcome, and marks continuations and duplicates. */
export function TickOutcome({ tick }: { tick: LedgerTick }) {
  return (
    <span className="inline-flex items-center gap-1.5 whitespace-nowrap">
      <span
        title={MEANINGS[tick.outcome]}
        className={`rounded-full px-2 py-0.5 text-xs font-medium ${TONES[tick.outcome]}`}
      >
        {tick.outcome}
      </span>
      {tick.continuation > 0 && (
        <span
          title="Due rows were left when a tick ended, so this tick started immediately. Continuation 1 follows the scheduler’s own call."
          className="rounded-full border border-line-strong px-2 py-0.5 text-xs text-muted"
        >
          continuation {tick.continuation}
        </span>
      )}
      {tick.duplicate && (
        <span
          title="The scheduler delivered this slot more than once. Claims keep each row from running twice."
          className="rounded-full border border-line-strong px-2 py-0.5 text-xs text-muted"
        >
          duplicate
        </span>
      )}
    </span>
  );
}
