import { z } from 'zod';
import type { SchedulerCall } from '../../lib/worker/local-scheduler.ts';

/** The monitors' figures since the demo began. */
export interface WatchFigures {
  checks: number;
  opened: number;
  closed: number;
  /** Incidents that are open now, of any age. */
  open: number;
}

/** The monitors' line of the demo's progress, in 80 columns. */
export function watchLine({ checks, opened, closed, open }: WatchFigures): string {
  return `${checks} checks · ${opened} incidents opened, ${closed} closed, ${open} open`;
}

const report = z.object({ queue: z.literal('monitors'), counts: z.object({ again: z.number() }) });

/** Counts the checks of a scheduler's call; 0 for another queue. */
export function checksIn({ body }: Pick<SchedulerCall, 'body'>): number {
  return report.safeParse(body).data?.counts.again ?? 0;
}

/** Counts the incidents that opened and closed since `sinceMs`, and all that are open. */
export function countIncidents(
  incidents: { opened_at: string; closed_at: string | null }[],
  sinceMs: number,
): Omit<WatchFigures, 'checks'> {
  const since = (at: string | null) => at !== null && Date.parse(at) >= sinceMs;
  return {
    opened: incidents.filter(({ opened_at }) => since(opened_at)).length,
    closed: incidents.filter(({ closed_at }) => since(closed_at)).length,
    open: incidents.filter(({ closed_at }) => closed_at === null).length,
  };
}
