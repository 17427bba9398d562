import { hasMore, type TickReport } from '../engine/tick-report';
import type { Container } from '../services/container';
import type { CronCall } from './cron-call';

/** What one call of a cron endpoint does, with or without HTTP. Throws what `errorResponse` answers. */
export type CronWork = (shared: Container, call: CronCall) => Promise<WorkDone>;

interface WorkDone {
  /** The ticks that another call at once could go on with. */
  reports: TickReport[];
  /** The answer. */
  body: object;
  /** What a part of it threw: it is told once all else is done. */
  fault?: unknown;
}

/** Whether another call at once would get on: some tick of the one that made these left rows that could start now. */
export const hasMoreWork = (reports: TickReport[]): boolean => reports.some(hasMore);
