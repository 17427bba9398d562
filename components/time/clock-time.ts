/** Says an instant in the browser's time zone: `09:00`, `09:00 tomorrow`, `09:00 on Thu 12 Mar`. */
export function clockTime(at: string, nowMs: number): string {
  const then = new Date(at);
  const now = new Date(nowMs);
  const time = then.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' });
  if (startOfDay(then, 0) === startOfDay(now, 0)) return time;
  if (startOfDay(then, 0) === startOfDay(now, 1)) return `${time} tomorrow`;
  if (startOfDay(then, 0) === startOfDay(now, -1)) return `${time} yesterday`;
  const year = then.getFullYear() === now.getFullYear() ? undefined : 'numeric';
  const day = then.toLocaleDateString('en-GB', { weekday: 'short', day: 'numeric', month: 'short', year });
  return `${time} on ${day.replace(',', '')}`;
}

/** Counts days by the calendar, because some have 23 or 25 hours. */
function startOfDay(instant: Date, plusDays: number): number {
  return new Date(instant.getFullYear(), instant.getMonth(), instant.getDate() + plusDays).getTime();
}
