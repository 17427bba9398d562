/** Returns 9:00 of the next day, in the time zone of where it runs or in UTC, as an ISO instant. */
export function tomorrowAt9(nowMs: number, isUtc: boolean): string {
  const at = new Date(nowMs);
  if (isUtc)
    return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate() + 1, 9)).toISOString();
  return new Date(at.getFullYear(), at.getMonth(), at.getDate() + 1, 9).toISOString();
}
