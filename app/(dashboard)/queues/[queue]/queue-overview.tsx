import { Meanings } from '@/components/lists/table.tsx';
import { Notice } from '@/components/notice.tsx';
import { Section } from '@/components/section.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { HeldBack } from './held-back.tsx';
import { PartitionTable } from './partition-table.tsx';
import { QueueFigures } from './queue-figures.tsx';
import { settingsInWords } from './settings-in-words.ts';
import { StateTiles } from './state-tiles.tsx';
import { TableNotes } from './table-notes.tsx';
import { ThroughputChart } from './throughput-chart.tsx';

const PROMISES = {
  'at-most-once':
    'If nobody knows whether an attempt worked, its row becomes unknown. It is retried only with proof that the attempt did not work, or if you decide so.',
  'at-least-once':
    'If nobody knows whether an attempt worked, its row is retried: nothing is lost, and something may be done twice.',
} as const;

/** Draws the figures of a queue, and the due rows that no tick claims. */
export function QueueOverview({ queue, now }: { queue: QueueStats; now: string }) {
  const delivery = queue.delivery.replaceAll('-', ' ');
  return (
    <Section
      id="figures"
      heading="Figures"
      aside={
        queue.paused_at && (
          <p className="text-warn">
            <strong className="font-semibold">Paused</strong> <RelativeTime at={queue.paused_at} />
            {queue.paused_reason && `: ${queue.paused_reason}`}
          </p>
        )
      }
    >
      {queue.problem === null ? (
        <>
          <div>
            <QueueFigures queue={queue} now={now} />
            <p className="mt-4 text-muted">{settingsInWords(queue.settings)}</p>
            <Meanings
              of={[{ word: delivery, meaning: PROMISES[queue.delivery] }]}
              label={`Delivery: ${delivery}`}
            />
          </div>
          {queue.setup && <TableNotes setup={queue.setup} />}
          <StateTiles queue={queue} />
          <HeldBack queue={queue} />
          <PartitionTable partitions={queue.partitions} now={now} />
        </>
      ) : (
        <Notice tone="bad" heading="The rows of this queue cannot be read">
          {queue.problem}
        </Notice>
      )}
      <ThroughputChart throughput={queue.throughput} words={queue.words} now={now} />
    </Section>
  );
}
