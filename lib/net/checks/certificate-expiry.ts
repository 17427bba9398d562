const dayMs = 24 * 3600 * 1_000;

/** Returns when a certificate expires, in words, if that is within `days` days; null otherwise. */
export function describeExpiry(
  expiresAt: string | null,
  days: number | null,
  nowMs = Date.now(),
): string | null {
  if (expiresAt === null || days === null) return null;
  const daysLeft = (Date.parse(expiresAt) - nowMs) / dayMs;
  if (daysLeft > days) return null;
  const wholeDays = Math.floor(daysLeft);
  const when = wholeDays < 1 ? 'within a day' : wholeDays === 1 ? 'in a day' : `in ${wholeDays} days`;
  return `its certificate expires ${when} (${expiresAt.slice(0, 10)})`;
}
