import Link from 'next/link';
import type { ReactNode } from 'react';
import { LINK, queueHref, rowsHref } from '@/components/link.ts';
import { Notice } from '@/components/notice.tsx';
import { Section } from '@/components/section.tsx';
import { OUTCOME_MEANINGS, TickOutcome } from '@/components/tick-outcome.tsx';
import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import { scheduleInWords } from '@/components/time/schedule-in-words.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import type { LedgerTick, TickInFull } from '@/lib/store/ticks.ts';
import { reportFields } from '../report-fields.ts';
import { TickBudget } from '../tick-budget.tsx';
import { tickCounts } from '../tick-counts.ts';
import { Percentiles } from '../tick-table.tsx';

/** Why a tick ended, in a sentence. */
const ENDS: Record<string, string> = {
  drained: 'No row was left that could start.',
  budget: 'Its time was over: no further row fitted into it.',
  'batch limit': 'It had claimed as many rows as one tick may.',
  breaker: 'Its provider failed too often, so it started no further row.',
  paused: 'The queue was paused.',
  stopped: 'The server was asked to stop.',
};

interface TickFactsProps extends TickInFull {
  words: QueueStats['words'];
}

/** Draws what a tick did, why it ended, who called it, and the other ticks of its run. */
export function TickFacts({ tick, run, words }: TickFactsProps) {
  const { usedMs, budgetMs, performMs, lock } = reportFields(tick.report);
  return (
    <Section id="tick" heading="What it did" aside={<TickOutcome tick={tick} />}>
      {typeof tick.report?.fault === 'string' && (
        <Notice tone="bad" heading="It ended with an error">
          <span className="first-letter:uppercase">{tick.report.fault}</span>
        </Notice>
      )}
      <Rows tick={tick} words={words} />
      <dl className="grid gap-x-8 gap-y-4 sm:grid-cols-2 lg:grid-cols-3">
        <Fact name="Started">
          <ClockTime at={tick.started_at} seconds />, <RelativeTime at={tick.started_at} />
        </Fact>
        <Fact name="Ended">
          {tick.closed_at ? <ClockTime at={tick.closed_at} seconds /> : 'not yet'}; its limit was{' '}
          <ClockTime at={tick.deadline_at} seconds />
        </Fact>
        <Fact name="Used of its budget">
          <TickBudget usedMs={usedMs} budgetMs={budgetMs} />
        </Fact>
        <Fact name="An attempt took, p50 / p95">
          <Percentiles of={performMs} />
        </Fact>
        <Fact name="Called by">
          {tick.scheduler}
          {tick.schedule && `, ${scheduleInWords(tick.schedule)} (${tick.schedule}, UTC)`}
          {tick.path && <code className="block font-mono text-xs text-muted wrap-anywhere">{tick.path}</code>}
        </Fact>
        <Fact name="Slot">{tick.slot ? <ClockTime at={tick.slot} seconds /> : 'none'}</Fact>
        <Fact name="Partition">{tick.partition}</Fact>
        <Fact name="Rows asked for">
          {tick.asked_for ? `${words[tick.asked_for]} rows, on request` : 'all that are due'}
        </Fact>
        <Fact name="Overlap lock">{lock ?? 'not recorded'}</Fact>
        <Fact name="Rows that it claimed last">
          <Link href={rowsHref(tick.queue, { tick: tick.id })} prefetch={false} className={LINK}>
            List them
          </Link>
        </Fact>
        <Fact name="Id">
          <code className="font-mono text-xs wrap-anywhere">{tick.id}</code>
        </Fact>
      </dl>
      {run.length > 1 && <Run run={run} shown={tick.id} />}
    </Section>
  );
}

function Rows({ tick, words }: { tick: LedgerTick; words: QueueStats['words'] }) {
  const counts = tickCounts(tick, words);
  const ended = reportFields(tick.report).ended;
  return (
    <div>
      <p className="text-base font-semibold">{OUTCOME_MEANINGS[tick.outcome]}</p>
      {ended && tick.outcome === 'ran' && <p>{ENDS[ended] ?? `It ended: ${ended}.`}</p>}
      {tick.duplicate && (
        <p className="text-muted">
          The scheduler delivered its slot more than once. Claims keep each row from running twice.
        </p>
      )}
      {counts.length > 0 && (
        <ul className="mt-3 flex flex-wrap gap-3">
          {counts.map(({ key, count, label, meaning, tone }) => (
            <li key={key} className="rounded-lg border border-line px-3.5 py-2">
              <span className={`text-base ${tone}`}>
                {count.toLocaleString('en-US')} {label}
              </span>
              <span className="block text-xs text-muted">{meaning}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-muted">{name}</dt>
      <dd className="mt-0.5">{children}</dd>
    </div>
  );
}

/** Draws the scheduler's own call and the continuations that followed it at once. */
function Run({ run, shown }: { run: TickInFull['run']; shown: string }) {
  return (
    <section>
      <h3 className="font-semibold">Its run</h3>
      <p className="text-muted">Rows were left when a tick ended, so the next one started at once.</p>
      <ol className="mt-2 grid gap-1">
        {run.map(({ id, queue, partition, continuation, started_at }) => (
          <li key={id}>
            {id === shown ? (
              <span className="font-semibold" aria-current="true">
                {callOf(continuation)}
              </span>
            ) : (
              <Link href={queueHref(queue, `/ticks/${id}`)} prefetch={false} className={LINK}>
                {callOf(continuation)}
              </Link>
            )}
            <span className="text-muted">
              {partition !== 'main' && ` of ${partition}`}, <ClockTime at={started_at} seconds />
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

const callOf = (continuation: number) =>
  continuation === 0 ? 'The scheduler’s call' : `Continuation ${continuation}`;
