import type { QueueStats } from '@/lib/store/stats.ts';

/** Says in one sentence how many rows a tick runs, from the registry's settings. */
export function settingsInWords(settings: QueueStats['settings']): string {
  const { batch_limit: batchLimit, concurrency, budget_seconds: budgetSeconds, adaptive } = settings;
  const within = budgetSeconds === null ? '' : `, within ${budgetSeconds} s`;
  if (adaptive) return `A tick adapts to the backlog: how many rows it runs, and how many at once${within}.`;
  const rows = batchLimit === null ? 'as many rows as it has time for' : `up to ${batchLimit} rows`;
  return `A tick runs ${rows}, ${concurrency} at once${within}.`;
}
