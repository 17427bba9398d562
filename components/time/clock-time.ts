interface ClockOptions {
  /** The browser's by default. */
  timeZone?: string;
  /** Also says the seconds. */
  seconds?: boolean;
}

const dayMs = 86_400_000;

/** Says an instant by the clock: `09:00`, `09:00 tomorrow`, `09:00 on Thu 12 Mar`. */
export function clockTime(
  at: string,
  nowMs: number,
  { timeZone, seconds = false }: ClockOptions = {},
): string {
  const then = new Date(at);
  const now = new Date(nowMs);
  const second = seconds ? '2-digit' : undefined;
  const time = then.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', second, timeZone });
  const days = dayNumber(then, timeZone) - dayNumber(now, timeZone);
  if (days === 0) return time;
  if (days === 1) return `${time} tomorrow`;
  if (days === -1) return `${time} yesterday`;
  const year = yearOf(then, timeZone) === yearOf(now, timeZone) ? undefined : 'numeric';
  const day = then.toLocaleDateString('en-GB', {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year,
    timeZone,
  });
  return `${time} on ${day.replace(',', '')}`;
}

/** Counts days by the calendar, because some have 23 or 25 hours. */
function dayNumber(instant: Date, timeZone?: string): number {
  return Date.parse(instant.toLocaleDateString('en-CA', { timeZone })) / dayMs;
}

function yearOf(instant: Date, timeZone?: string): string {
  return instant.toLocaleDateString('en-CA', { timeZone, year: 'numeric' });
}
