/** Draws failed attempts in each of the last 24 hours, the oldest first. */
export function HourBars({ hours, className = 'h-6 w-36' }: { hours: number[]; className?: string }) {
  const peak = Math.max(1, ...hours);
  const total = hours.reduce((sum, count) => sum + count, 0);
  const bars = hours.map((count, hour) => {
    // One failure beside hundreds stays visible.
    const height = count === 0 ? 0 : Math.max(8, Math.round((count / peak) * 100));
    return height === 0 ? '' : `M${hour + 0.12} 100v-${height}h.76v${height}z`;
  });
  return (
    <svg
      role="img"
      aria-label={`${total.toLocaleString('en-US')} failed attempts in 24 hours, at most ${peak.toLocaleString('en-US')} in one`}
      viewBox={`0 0 ${hours.length} 100`}
      preserveAspectRatio="none"
      className={`border-b border-line-strong ${className}`}
    >
      <path d={bars.join('')} fill="var(--bad-bar)" />
    </svg>
  );
}
