import { useState } from 'react';
import { ShowMore } from '@/components/lists/show-more.tsx';
import type { QueueStats } from '@/lib/store/stats.ts';
import { type OverviewLine, overviewLines } from './overview-lines.ts';
import { OverviewTable } from './overview-table.tsx';

/** Partitions of one queue that are shown at first. Those with troubles come first. */
const FIRST_SHOWN = 8;

interface OverviewProps {
  queues: QueueStats[];
  /** When the figures were read. */
  now: string;
}

/** Draws all queues and their named partitions, each with a link to its queue's panel. */
export function Overview({ queues, now }: OverviewProps) {
  const [isExpanded, setIsExpanded] = useState(false);
  const lines = overviewLines(queues, now);
  const urgent = queues.flatMap(({ name }) => mostUrgent(lines, name));
  const hidden = lines.length - urgent.length;
  if (queues.length === 0) return null;
  const shown = isExpanded ? lines : urgent;
  return (
    <section
      aria-labelledby="overview"
      className="rounded-xl border border-line bg-surface px-4 py-4 sm:px-6"
    >
      <h2 id="overview" className="text-base font-semibold tracking-tight">
        Overview
      </h2>
      <OverviewTable lines={shown} />
      <ShowMore isExpanded={isExpanded} hidden={hidden} onChange={setIsExpanded} />
    </section>
  );
}

/** Returns a queue's own line and its most urgent partitions. */
function mostUrgent(lines: OverviewLine[], queue: string): OverviewLine[] {
  const urgency = ({ troubles, due }: OverviewLine) => troubles.length * 1_000_000 + due.count;
  const partitions = lines.filter(({ partOf }) => partOf === queue);
  const first = new Set([...partitions].sort((a, b) => urgency(b) - urgency(a)).slice(0, FIRST_SHOWN));
  return lines.filter((line) => (line.partOf === null && line.name === queue) || first.has(line));
}
