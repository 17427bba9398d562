const dayMs = 24 * 3600 * 1_000;

/** Says that a certificate expires within so many days; null where it does not, or nobody asked. */
export function tellExpiry(expiresAt: string | null, days: number | null, nowMs = Date.now()): string | null {
  if (expiresAt === null || days === null) return null;
  const left = (Date.parse(expiresAt) - nowMs) / dayMs;
  if (left > days) return null;
  const whole = Math.floor(left);
  const when = whole < 1 ? 'within a day' : whole === 1 ? 'in a day' : `in ${whole} days`;
  return `its certificate expires ${when} (${expiresAt.slice(0, 10)})`;
}
