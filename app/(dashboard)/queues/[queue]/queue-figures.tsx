import type { ReactNode } from 'react';
import { CountText } from '@/components/count-text.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';

interface QueueFiguresProps {
  queue: QueueStats;
  /** When the figures were read. */
  now: string;
}

/** Draws how many rows are due, since when, when the next one falls due, and the last tick. */
export function QueueFigures({ queue, now }: QueueFiguresProps) {
  const { oldest_due_seconds: oldest, next_due_seconds: next, last_tick: tick } = queue;
  const after = (seconds: number) => new Date(Date.parse(now) + seconds * 1_000).toISOString();
  return (
    <dl className="grid grid-cols-2 gap-x-4 gap-y-5 sm:grid-cols-4">
      <Figure name="Due now">
        <CountText of={queue.due_now} />
      </Figure>
      <Figure name="Oldest due">{oldest === null ? 'none' : <RelativeTime at={after(-oldest)} />}</Figure>
      <Figure name="Next falls due">{next === null ? 'none' : <RelativeTime at={after(next)} />}</Figure>
      <Figure name="Last tick">{tick ? <RelativeTime at={tick.started_at} /> : 'never'}</Figure>
    </dl>
  );
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt className="text-muted">{name}</dt>
      <dd className="mt-0.5 text-base font-semibold tracking-tight">{children}</dd>
    </div>
  );
}
