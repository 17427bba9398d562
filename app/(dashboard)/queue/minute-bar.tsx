import { type Minute, SETTLED, type Settled } from '@/components/last-hour.ts';

export const MINUTE_BAR_FILL: Record<Settled, string> = {
  done: 'var(--good-bar)',
  retried: 'var(--retry-bar)',
  unknown: 'var(--warn-bar)',
  dead: 'var(--bad-bar)',
};

interface MinuteBarProps {
  minute: Minute;
  /** The left edge, in a drawing that is 1 wide for each minute and 100 high. */
  x: number;
  /** The rows settled in the busiest minute. */
  peak: number;
  labels: Record<Settled, string>;
}

export function MinuteBar({ minute, x, peak, labels }: MinuteBarProps) {
  let top = 100;
  return (
    <g className="group">
      <title>{inWords(minute, labels)}</title>
      {/* Makes the whole column respond to the pointer, not only its bar. */}
      <rect x={x} y={0} width={1} height={100} className="fill-transparent group-hover:fill-sunken" />
      {SETTLED.map((kind) => {
        if (minute[kind] === 0) return null;
        // One failure beside hundreds of successes stays visible: the least height is 3, and 88 leaves room for it.
        const height = Math.max(3, (minute[kind] / peak) * 88);
        top -= height;
        return (
          <rect key={kind} x={x + 0.12} y={top} width={0.76} height={height} fill={MINUTE_BAR_FILL[kind]} />
        );
      })}
    </g>
  );
}

function inWords(minute: Minute, labels: Record<Settled, string>): string {
  const when = minute.minutesAgo === 0 ? 'this minute' : `${minute.minutesAgo} min ago`;
  const counts = SETTLED.filter((kind) => minute[kind] > 0).map((kind) => `${minute[kind]} ${labels[kind]}`);
  return `${when}: ${counts.join(', ') || 'nothing'}`;
}
