import { findQueue, pathName } from '../queues/find-queue.ts';
import { registeredApp } from '../queues/registered-app.ts';
import type { QueueStats } from '../store/stats.ts';
import { shortDuration } from './short-duration.ts';

/** Longer than the usual interval of a scheduler, which is one to five minutes. */
const lateSeconds = 300;

/** Returns a warning if rows are due and no tick comes, with the remedy if none ever came. Null if ticks come or are not needed. */
export function whyUnticked(queue: QueueStats, nowMs: number): string | null {
  const { last_tick: last } = queue;
  if (queue.paused_at !== null || !couldStart(queue)) return null;
  if (last) {
    const seconds = (nowMs - Date.parse(last.started_at)) / 1_000;
    return seconds > lateSeconds ? `no tick for ${shortDuration(seconds)}` : null;
  }
  const found = findQueue(queue.name, registeredApp().queues);
  // A queue of this code may be newly deployed.
  if (found && (queue.oldest_due_seconds ?? 0) <= lateSeconds) return null;
  const { count } = queue.due_now;
  const rows = `${count.toLocaleString('en-US')} ${count === 1 ? 'row is' : 'rows are'} due`;
  const remedy = found
    ? `Have a scheduler call /api/cron/${pathName(queue.name)} (docs/schedulers.md).`
    : 'Give it a route, an entry in vercel.json and a place in punctual.ts (docs/your-own-table.md).';
  return `nothing ticks it: ${rows}. ${remedy}`;
}

/** Whether a row could start now. A paused or waiting partition needs no tick. */
function couldStart({ partitions, due_now }: QueueStats): boolean {
  if (partitions.length === 0) return due_now.count > 0;
  return partitions.some(({ due, paused_at, waiting }) => due > 0 && paused_at === null && waiting === null);
}
