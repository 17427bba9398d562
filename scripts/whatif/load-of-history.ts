import { scheduleInstants } from '../../lib/cron/slots/schedule-instants.ts';
import { marginMs } from '../../lib/engine/budget.ts';
import type { QueueStats } from '../../lib/store/stats.ts';
import type { LedgerTick } from '../../lib/store/ticks.ts';
import type { Load, Setting } from './run-load.ts';

const day = 86_400_000;

/**
 * Reads a load from a queue's statistics and its latest ticks: its due rows, what the last hour settled, and the times and settings of the ticks. Leaves out what the
 * ledger does not say. Throws if the queue has run no rows yet.
 */
export function loadOfHistory(
  queue: QueueStats,
  ticks: LedgerTick[],
): { load: Partial<Load>; setting: Setting } {
  const ran = ticks.filter(({ report, claimed }) => report !== null && claimed > 0);
  const [latest] = ran;
  if (!latest)
    throw new Error(`${queue.name} has run no rows yet. Leave out --history, and give --row and --backlog`);
  const timesOf = (share: 'p50' | 'p95') =>
    ran.flatMap(({ report }) => (report?.performMs as Record<string, number | null>)?.[share] ?? []);
  const p50 = middle(timesOf('p50')) ?? 0;
  const p95 = Math.max(p50, middle(timesOf('p95')) ?? 0);
  const budgetMs = latest.report?.budgetMs as number | undefined;
  const everySeconds = intervalOf(ticks.find(({ schedule }) => schedule !== null));
  return {
    load: {
      delivery: queue.delivery,
      backlog: queue.due_now.count,
      perHour: queue.throughput.reduce((sum, { done }) => sum + done, 0),
      // Even between these, with p50 in the middle.
      rowMs: [Math.max(0, 2 * p50 - p95), p95],
      ...(everySeconds !== null && { everySeconds }),
      ...(budgetMs !== undefined && { limitSeconds: Math.round((budgetMs + marginMs) / 1_000) }),
    },
    setting: { batchLimit: queue.settings.batch_limit ?? 1_000, concurrency: queue.settings.concurrency },
  };
}

/** The most frequent interval of the schedule that a tick answered, in seconds; null if it is unknown. Idle ticks are not listed, so their gaps say less. */
function intervalOf(tick: LedgerTick | undefined): number | null {
  if (!tick?.schedule) return null;
  const { schedule, started_at } = tick;
  const from = Date.parse(started_at);
  const instants = scheduleInstants(schedule, from, from + day);
  return middle(instants.slice(1).map((at, n) => (at - (instants[n] ?? at)) / 1_000));
}

function middle(values: number[]): number | null {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? null;
}
