import type { ReactNode } from 'react';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { scheduleInWords } from '@/components/time/schedule-in-words.ts';
import type { LedgerTick, QueueStats } from '@/lib/store/stats.ts';
import { reportFields } from './report-fields.ts';

/** Draws in one line how the tick started and ended. The line unfolds to the tick's call and its report. */
export function TickDetails({ tick, words }: { tick: LedgerTick; words: QueueStats['words'] }) {
  const { ended, lock } = reportFields(tick.report);
  return (
    <details className="group text-muted">
      <summary className="flex cursor-pointer flex-wrap items-center gap-x-3 gap-y-0.5 lg:gap-x-2 hover:text-ink">
        <span aria-hidden="true" className="text-[0.625rem] transition-transform group-open:rotate-90">
          ▶
        </span>
        <span>by {tick.scheduler}</span>
        {tick.partition !== 'main' && <Detail>partition {tick.partition}</Detail>}
        {tick.asked_for && <Detail>on request: {words[tick.asked_for]} rows</Detail>}
        {tick.slot && (
          <Detail>
            slot <RelativeTime at={tick.slot} />
          </Detail>
        )}
        {ended && <Detail>ended: {ended}</Detail>}
        {lock && lock !== 'none' && (
          <Detail>
            <span className={lock === 'unavailable' ? 'font-medium text-warn' : ''}>lock {lock}</span>
          </Detail>
        )}
      </summary>
      <Call tick={tick} />
      <Report tick={tick} />
    </details>
  );
}

function Detail({ children }: { children: ReactNode }) {
  return (
    <>
      <span aria-hidden="true" className="max-lg:hidden">
        ·
      </span>
      <span>{children}</span>
    </>
  );
}

/** Draws the path and schedule of the tick's call, and the run that it belongs to. */
function Call({ tick: { path, schedule, continuation, run_id } }: { tick: LedgerTick }) {
  return (
    <p className="mt-2 flex flex-wrap gap-x-2 gap-y-0.5 text-ink lg:gap-x-3">
      {path && <code className="font-mono wrap-anywhere">{path}</code>}
      {schedule && <span title={`${schedule} (UTC)`}>{scheduleInWords(schedule)}</span>}
      <span className="wrap-anywhere">
        {continuation > 0 ? `continuation ${continuation} of ` : ''}run{' '}
        <code className="font-mono">{run_id}</code>
      </span>
    </p>
  );
}

function Report({ tick }: { tick: LedgerTick }) {
  if (tick.report === null) {
    return (
      <p className="mt-2">
        {tick.outcome === 'running' ? 'The report comes when the tick ends.' : 'The tick left no report.'}
      </p>
    );
  }
  return (
    <pre
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
      tabIndex={0}
      className="mt-2 max-h-96 overflow-auto rounded-lg bg-sunken p-3 font-mono text-xs text-ink"
    >
      {JSON.stringify(tick.report, null, 2)}
    </pre>
  );
}
