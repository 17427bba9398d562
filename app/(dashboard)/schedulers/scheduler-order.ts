import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage';

/** Those to look at first: what still calls before what was replaced, then the most missed, then the most late; else as they came. */
export function inOrder(schedulers: ScheduleCoverage[]): ScheduleCoverage[] {
  return [...schedulers].sort(
    (a, b) => Number(a.until !== null) - Number(b.until !== null) || b.missed - a.missed || b.late - a.late,
  );
}
