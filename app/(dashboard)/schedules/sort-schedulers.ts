import type { ScheduleCoverage } from '@/lib/cron/slots/schedule-coverage.ts';

/** Sorts silent schedulers first and replaced ones last, then by missed slots, then by late ones, the most first. */
export function sortSchedulers(schedulers: ScheduleCoverage[]): ScheduleCoverage[] {
  return [...schedulers].sort(
    (a, b) =>
      Number(b.silent) - Number(a.silent) ||
      Number(a.until !== null) - Number(b.until !== null) ||
      b.missed - a.missed ||
      b.late - a.late,
  );
}
