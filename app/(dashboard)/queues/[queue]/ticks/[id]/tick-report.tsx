import { Section } from '@/components/section.tsx';
import type { LedgerTick } from '@/lib/store/ticks.ts';

/** Draws a tick's report as it is stored. */
export function TickReport({ tick }: { tick: LedgerTick }) {
  return (
    <Section id="report" heading="Its report">
      {tick.report === null ? (
        <p className="text-muted">
          {tick.outcome === 'running' ? 'The report comes when the tick ends.' : 'The tick left no report.'}
        </p>
      ) : (
        <pre
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
          tabIndex={0}
          className="max-h-[32rem] overflow-auto rounded-lg bg-sunken p-3 font-mono text-xs"
        >
          {JSON.stringify(tick.report, null, 2)}
        </pre>
      )}
    </Section>
  );
}
