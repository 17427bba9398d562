import type { ReactNode } from 'react';
import { CountText } from '@/components/count-text.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import { shortDuration } from '@/lib/stats/short-duration.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

interface QueueFiguresProps {
  queue: QueueStats;
  /** When the figures were read. The time since is added to ages, and taken off waits. */
  readAt: string;
}

/** Draws how many rows are due, since when, when the next one falls due, and the last tick. */
export function QueueFigures({ queue, readAt }: QueueFiguresProps) {
  const sinceSeconds = Math.max(0, (useServerNow() - Date.parse(readAt)) / 1_000);
  const { oldest_due_seconds: oldest, next_due_seconds: next } = queue;
  return (
    <dl className="grid grid-cols-2 gap-x-4 gap-y-5 sm:grid-cols-4">
      <Figure name="Due now" value={<CountText of={queue.due_now} />} />
      <Figure
        name="Oldest due"
        value={oldest === null ? 'none' : `${shortDuration(oldest + sinceSeconds)} ago`}
      />
      <Figure name="Next falls due" value={next === null ? 'none' : dueIn(next - sinceSeconds)} />
      <Figure name="Last tick" value={<LastTick queue={queue} />} />
    </dl>
  );
}

function Figure({ name, value }: { name: string; value: ReactNode }) {
  return (
    <div>
      <dt className="text-muted">{name}</dt>
      <dd className="mt-0.5 text-base font-semibold tracking-tight">{value}</dd>
    </div>
  );
}

function dueIn(seconds: number): string {
  return seconds < 1 ? 'now' : `in ${shortDuration(seconds)}`;
}

function LastTick({ queue }: { queue: QueueStats }) {
  const nowMs = useServerNow();
  const [last] = queue.ticks;
  if (!last) return 'never';
  const exact = new Date(last.started_at).toISOString();
  return (
    <time dateTime={exact} title={exact}>
      {shortDuration((nowMs - Date.parse(exact)) / 1_000)} ago
    </time>
  );
}
