import type { QueueStats } from '@/lib/store/stats';

/** What the registry has a tick do, in one sentence. */
export function settingsInWords(settings: QueueStats['settings']): string {
  const { batch_limit: most, concurrency, budget_seconds: budget, adaptive } = settings;
  const within = budget === null ? '' : `, within ${budget} s`;
  if (adaptive) return `A tick takes as many rows, and as many at once, as the backlog calls for${within}.`;
  const rows = most === null ? 'all that it has time for' : `up to ${most} rows`;
  return `A tick takes ${rows}, ${concurrency} at once${within}.`;
}
