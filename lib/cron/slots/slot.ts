import { Cron } from 'croner';
import { instant } from '../../http/input/instant';
import { schedulerName } from '../../services/scheduler-name';
import { callHeaders } from '../call-headers';

/**
 * The instant of the schedule that a request answers, ISO 8601: what a scheduler of ours says in `x-punctual-slot`, else the latest instant
 * of the expression that Vercel sends in `x-vercel-cron-schedule` that is not after now (a guess: Vercel names no slot). Null where
 * neither is there or makes sense.
 */
export function readSlot(headers: Headers, nowMs: number): string | null {
  const named = instant.safeParse(headers.get(callHeaders.slot));
  if (named.success) return new Date(named.data).toISOString();
  const schedule = headers.get('x-vercel-cron-schedule');
  if (!schedule) return null;
  try {
    // The library looks strictly before the whole second it is given.
    const [slot] = new Cron(schedule, { timezone: 'UTC', paused: true }).previousRuns(
      1,
      new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000),
    );
    return slot && slot.getTime() <= nowMs ? slot.toISOString() : null;
  } catch {
    return null;
  }
}

/** The cron expression, in UTC, by which a request was made: as a scheduler of ours or Vercel says it; null where neither makes sense. */
export function readSchedule(headers: Headers): string | null {
  const schedule = headers.get(callHeaders.schedule) ?? headers.get('x-vercel-cron-schedule');
  if (!schedule || schedule.length > 100) return null;
  try {
    return new Cron(schedule, { timezone: 'UTC', paused: true }) && schedule;
  } catch {
    return null;
  }
}

/** What called: a scheduler of ours says so itself. */
export function readScheduler(headers: Headers): string {
  const named = headers.get(callHeaders.scheduler);
  if (named && schedulerName.test(named)) return named;
  return headers.get('user-agent')?.startsWith('vercel-cron/') ? 'vercel' : 'http';
}
