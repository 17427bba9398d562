import { useState } from 'react';
import { ShowMore } from '@/components/lists/show-more';
import type { QueueStats } from '@/lib/store/stats';
import { type OverviewLine, overviewLines } from './overview-lines';
import { OverviewTable } from './overview-table';

/** The most partitions of one queue that are shown unasked; those with something wrong go first. */
const FEW = 8;

interface OverviewProps {
  queues: QueueStats[];
  /** When the figures were read. */
  now: string;
}

/** All queues and their named partitions at one look, each leading to its panel. */
export function Overview({ queues, now }: OverviewProps) {
  const [all, setAll] = useState(false);
  const lines = overviewLines(queues, now);
  const few = queues.flatMap(({ name }) => firstOf(lines, name));
  const hidden = lines.length - few.length;
  if (queues.length === 0) return null;
  const shown = all ? lines : few;
  return (
    <section
      aria-labelledby="overview"
      className="rounded-xl border border-line bg-surface px-4 py-4 sm:px-6"
    >
      <h2 id="overview" className="text-base font-semibold tracking-tight">
        Overview
      </h2>
      <OverviewTable lines={shown} />
      <ShowMore all={all} hidden={hidden} onChange={setAll} />
    </section>
  );
}

/** The queue's own line, and the partitions that most need to be seen. */
function firstOf(lines: OverviewLine[], queue: string): OverviewLine[] {
  const urgency = ({ troubles, due }: OverviewLine) => troubles.length * 1_000_000 + due.count;
  const parts = lines.filter(({ partOf }) => partOf === queue);
  const seen = new Set([...parts].sort((a, b) => urgency(b) - urgency(a)).slice(0, FEW));
  return lines.filter((line) => (line.partOf === null && line.name === queue) || seen.has(line));
}
