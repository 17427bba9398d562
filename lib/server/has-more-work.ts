import { hasMore } from '../engine/tick-report';
import type { WorkDone } from './cron-work';

/** Whether another call at once would get on: some tick of this one left rows that could start now. */
export const hasMoreWork = ({ reports }: WorkDone): boolean => reports.some(hasMore);
