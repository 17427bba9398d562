import { Notice } from '@/components/notice.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { HeldBack } from './held-back.tsx';
import { NeedsYou } from './needs-you/needs-you.tsx';
import { QueueFigures } from './queue-figures.tsx';
import { settingsInWords } from './settings-in-words.ts';
import { StateTiles } from './state-tiles.tsx';
import { TableNotes } from './table-notes.tsx';
import { ThroughputChart } from './throughput-chart.tsx';
import { TickCards } from './ticks/tick-cards.tsx';
import { TickTable } from './ticks/tick-table.tsx';
import { WhyNotDone } from './why/why-not-done.tsx';

const PROMISES = {
  'at-most-once':
    'If nobody knows whether an attempt worked, its row becomes unknown. It is retried only with proof that the attempt did not work, or if you decide so.',
  'at-least-once':
    'If nobody knows whether an attempt worked, its row is retried: nothing is lost, and something may be done twice.',
} as const;

interface QueuePanelProps {
  queue: QueueStats;
  /** When the figures were read. */
  now: string;
  /** The scheme and host of this app. */
  address: string;
  signedIn: boolean;
}

/** Draws everything about one queue. */
export function QueuePanel({ queue, now, address, signedIn }: QueuePanelProps) {
  const path = `/api/queues/${queue.name}/rows`;
  const headingId = `queue-${queue.name}`;
  return (
    <section aria-labelledby={headingId} className="rounded-xl border border-line bg-surface">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-2 border-b border-line px-4 py-4 sm:px-6">
        <h2 id={headingId} className="scroll-mt-4 text-base font-semibold tracking-tight wrap-anywhere">
          {queue.name}
        </h2>
        <span
          title={PROMISES[queue.delivery]}
          className="rounded-full border border-line px-2 py-0.5 text-xs text-muted"
        >
          {queue.delivery.replaceAll('-', ' ')}
        </span>
        {queue.paused_at && (
          <p className="text-warn">
            <strong className="font-semibold">Paused</strong> <RelativeTime at={queue.paused_at} />
            {queue.paused_reason && `: ${queue.paused_reason}`}
          </p>
        )}
      </header>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-8 px-4 py-5 sm:px-6 sm:py-6">
        {queue.problem === null ? (
          <>
            <div>
              <QueueFigures queue={queue} readAt={now} />
              <p className="mt-4 text-muted">{settingsInWords(queue.settings)}</p>
            </div>
            {queue.setup && <TableNotes setup={queue.setup} />}
            <StateTiles queue={queue} />
            <NeedsYou queue={queue} path={path} address={address} signedIn={signedIn} />
            <HeldBack queue={queue} />
            <WhyNotDone queue={queue} path={path} />
          </>
        ) : (
          <Notice tone="bad" heading="The rows of this queue cannot be read">
            {queue.problem}
          </Notice>
        )}
        <ThroughputChart throughput={queue.throughput} words={queue.words} now={now} />
        <section aria-labelledby={`${headingId}-ticks`}>
          <h3 id={`${headingId}-ticks`} className="font-semibold">
            Last ticks
          </h3>
          {queue.ticks.length === 0 ? (
            <p className="mt-1 text-muted">
              No scheduler has called this queue yet. docs/schedulers.md says how to set one up.
            </p>
          ) : (
            <>
              <TickTable ticks={queue.ticks} words={queue.words} />
              <TickCards ticks={queue.ticks} words={queue.words} />
            </>
          )}
        </section>
      </div>
    </section>
  );
}
