import type { LedgerTick } from '@/lib/store/stats';

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
  running: 'It is at work now.',
  idle: 'Nothing was due.',
  skipped: 'Another tick of this queue was running.',
  paused: 'The queue is paused.',
  died: 'It never closed before its limit. Its rows are taken up by a later tick.',
};

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
          title="It went on at once where a tick ended with a backlog: continuation 1 follows the scheduler’s own call."
          className="rounded-full border border-line-strong px-2 py-0.5 text-xs text-muted"
        >
          continuation {tick.continuation}
        </span>
      )}
      {tick.duplicate && (
        <span
          title="The scheduler delivered this slot more than once. The claims see to it that each row is done once."
          className="rounded-full border border-line-strong px-2 py-0.5 text-xs text-muted"
        >
          duplicate
        </span>
      )}
    </span>
  );
}
