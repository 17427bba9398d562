import { Cron } from 'croner';

/** 25 hours of a schedule of every second: a day, and what is looked at around it. */
export const maxInstants = 90_000;

/**
 * The instants of a cron expression in UTC from one millisecond to another, both included, ascending, in milliseconds since 1970. Where
 * there are more than `maxInstants`, only the last of them. None where the expression makes no sense.
 *
 * A day of minutes takes 4 ms. By `timezone: 'UTC'`, which names the same instants, it takes 100.
 */
export function scheduleInstants(schedule: string, fromMs: number, toMs: number): number[] {
  // The library looks strictly after the whole second it is given.
  const before = new Date(Math.ceil(fromMs / 1_000) * 1_000 - 1_000);
  const instants = runsOf(schedule, before, new Date(toMs + 1_000))
    .map((run) => run.getTime())
    .filter((at) => at <= toMs);
  if (instants.length <= maxInstants) return instants;
  return scheduleInstants(schedule, Math.floor(toMs / 1_000) * 1_000 - (maxInstants - 1) * 1_000, toMs);
}

function runsOf(schedule: string, before: Date, stopAt: Date): Date[] {
  try {
    return new Cron(schedule, { utcOffset: 0, paused: true, stopAt }).nextRuns(maxInstants + 1, before);
  } catch {
    return [];
  }
}
