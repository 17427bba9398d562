import { hasMore, type TickReport } from '../engine/tick-report';

/** Whether another call at once would get on: some tick of the one that made these left rows that could start now. */
export const hasMoreWork = (reports: TickReport[]): boolean => reports.some(hasMore);
