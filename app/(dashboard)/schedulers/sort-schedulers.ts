import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage.ts';

/** Sorts current schedulers before replaced ones, then by missed slots, then by late ones, the most first. */
export function sortSchedulers(schedulers: ScheduleCoverage[]): ScheduleCoverage[] {
  return [...schedulers].sort(
    (a, b) => Number(a.until !== null) - Number(b.until !== null) || b.missed - a.missed || b.late - a.late,
  );
}
