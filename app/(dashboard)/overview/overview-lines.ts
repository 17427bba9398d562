import { SETTLED, type Settled } from '@/components/last-hour.ts';
import { partitionTroubles, queueTroubles, type Trouble } from '@/components/troubles.ts';
import type { LedgerTick, QueueStats } from '@/lib/store/stats.ts';

export interface OverviewLine {
  key: string;
  name: string;
  /** The queue of a partition; null for a queue. */
  partOf: string | null;
  /** Links to the queue's panel. */
  href: string;
  /** How many of its rows may run at once; null is unlimited. */
  maxRunning: number | null;
  due: { count: number; approximate: boolean };
  /** When the oldest due row fell due, in milliseconds since the epoch; null if none is due. */
  oldestDueAtMs: number | null;
  /** Null for a partition: its running rows are not counted. */
  running: { count: number; approximate: boolean } | null;
  /** The counts of the last hour that are not zero, in the queue's words. Null for a partition. */
  settled: { kind: Settled; label: string; count: number }[] | null;
  lastTick: { at: string; tick: LedgerTick | null } | null;
  troubles: Trouble[];
  /** Nothing is wrong with it or its partitions. */
  isHealthy: boolean;
}

/** Returns a line for each queue, followed by one for each of its named partitions. `now` is when the figures were read. */
export function overviewLines(queues: QueueStats[], now: string): OverviewLine[] {
  return queues.flatMap((queue) => {
    const partitions = queue.partitions.map((partition) => partitionLine(queue, partition, now));
    const line = queueLine(queue, now);
    const isHealthy = line.isHealthy && partitions.every((partition) => partition.isHealthy);
    return [{ ...line, isHealthy }, ...partitions];
  });
}

function queueLine(queue: QueueStats, now: string): OverviewLine {
  const labels: Record<Settled, string> = { ...queue.words, retried: 'retried' };
  const [tick] = queue.ticks;
  const troubles = queueTroubles(queue);
  return {
    key: queue.name,
    name: queue.name,
    partOf: null,
    href: `#queue-${queue.name}`,
    maxRunning: null,
    due: queue.due_now,
    oldestDueAtMs: instantBefore(now, queue.oldest_due_seconds),
    running: queue.states.running,
    settled: SETTLED.map((kind) => ({
      kind,
      label: labels[kind],
      count: queue.throughput.reduce((sum, minute) => sum + minute[kind], 0),
    })).filter(({ count }) => count > 0),
    lastTick: tick ? { at: tick.started_at, tick } : null,
    troubles,
    isHealthy: troubles.length === 0,
  };
}

function partitionLine(
  queue: QueueStats,
  partition: QueueStats['partitions'][number],
  now: string,
): OverviewLine {
  const troubles = partitionTroubles(partition);
  const { last_tick_at: at } = partition;
  return {
    key: `${queue.name} ${partition.name}`,
    name: partition.name,
    partOf: queue.name,
    href: `#queue-${queue.name}`,
    maxRunning: partition.max_running,
    due: { count: partition.due, approximate: false },
    oldestDueAtMs: instantBefore(now, partition.oldest_due_seconds),
    running: null,
    settled: null,
    lastTick: at === null ? null : { at, tick: tickAt(queue.ticks, partition.name, at) },
    troubles,
    isHealthy: troubles.length === 0,
  };
}

/** Returns the tick that was running at `at`. Idle ticks are not listed, so the latest listed tick may be an older one. */
function tickAt(ticks: LedgerTick[], partition: string, at: string): LedgerTick | null {
  const latest = ticks.find((tick) => tick.partition === partition);
  if (!latest) return null;
  const atMs = Date.parse(at);
  const endedMs = latest.closed_at === null ? Number.POSITIVE_INFINITY : Date.parse(latest.closed_at);
  return atMs >= Date.parse(latest.started_at) && atMs <= endedMs ? latest : null;
}

function instantBefore(now: string, seconds: number | null): number | null {
  return seconds === null ? null : Date.parse(now) - seconds * 1_000;
}
