import { Cron } from 'croner';
import { instant } from '../../http/input/instant.ts';
import { schedulerName } from '../../services/scheduler-name.ts';
import { callHeaders } from '../call-headers.ts';

/**
 * Returns the slot of a request, ISO 8601. It is the value of `x-punctual-slot`, or else the latest instant, up to now, of the expression that
 * Vercel sends in `x-vercel-cron-schedule`. That is a guess, because Vercel names no slot. Returns null if neither header is there and valid.
 */
export function readSlot(headers: Headers, nowMs: number): string | null {
  const named = instant.safeParse(headers.get(callHeaders.slot));
  if (named.success) return new Date(named.data).toISOString();
  const schedule = headers.get('x-vercel-cron-schedule');
  if (!schedule) return null;
  try {
    // The library starts strictly before the whole second that it is given.
    const [slot] = new Cron(schedule, { timezone: 'UTC', paused: true }).previousRuns(
      1,
      new Date(Math.floor(nowMs / 1_000) * 1_000 + 1_000),
    );
    return slot && slot.getTime() <= nowMs ? slot.toISOString() : null;
  } catch {
    return null;
  }
}

/** Returns the cron expression, in UTC, from `x-punctual-schedule` or else Vercel's header; null if that is missing or invalid. */
export function readSchedule(headers: Headers): string | null {
  const schedule = headers.get(callHeaders.schedule) ?? headers.get('x-vercel-cron-schedule');
  if (!schedule || schedule.length > 100) return null;
  try {
    return new Cron(schedule, { timezone: 'UTC', paused: true }) && schedule;
  } catch {
    return null;
  }
}

/** Returns the scheduler's name: from `x-punctual-scheduler`, or else `vercel` by its user agent, or else `http`. */
export function readScheduler(headers: Headers): string {
  const named = headers.get(callHeaders.scheduler);
  if (named && schedulerName.test(named)) return named;
  return headers.get('user-agent')?.startsWith('vercel-cron/') ? 'vercel' : 'http';
}
