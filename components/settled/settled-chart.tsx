import { type Bar, OUTCOME_FILL, OUTCOMES } from './settled.ts';

interface SettledChartProps {
  bars: Bar[];
  /** What it shows, for screen readers. */
  label: string;
  className: string;
}

/** Draws one bar for each minute or hour, stacked by outcome. One path for each outcome keeps it small. */
export function SettledChart({ bars, label, className }: SettledChartProps) {
  const peak = Math.max(1, ...bars.map(({ total }) => total));
  const tops = bars.map(() => 100);
  return (
    <svg
      role="img"
      aria-label={label}
      viewBox={`0 0 ${bars.length} 100`}
      preserveAspectRatio="none"
      className={className}
    >
      {OUTCOMES.map((kind) => {
        const path = bars.map((bar, index) => {
          if (bar[kind] === 0) return '';
          // One failure beside hundreds of successes stays visible: the least height is 5, and 84 leaves room for it.
          const height = Math.max(5, Math.round((bar[kind] / peak) * 84));
          const bottom = tops[index] ?? 100;
          tops[index] = bottom - height;
          return `M${index + 0.12} ${bottom}v-${height}h.76v${height}z`;
        });
        const d = path.join('');
        return d && <path key={kind} d={d} fill={OUTCOME_FILL[kind]} />;
      })}
    </svg>
  );
}
