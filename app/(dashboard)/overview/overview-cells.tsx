import type { Settled } from '@/components/last-hour.ts';
import { TickOutcome } from '@/components/tick-outcome.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { Trouble } from '@/components/troubles.ts';
import { shortDuration } from '@/lib/stats/short-duration.ts';
import type { OverviewLine } from './overview-lines.ts';

type Line = { line: OverviewLine };

const SETTLED_TONES: Record<Settled, string> = {
  done: 'text-good',
  retried: 'text-muted',
  unknown: 'text-warn',
  dead: 'text-bad',
};
const TROUBLE_TONES: Record<Trouble['tone'], string> = {
  wait: 'text-busy',
  warn: 'text-warn',
  bad: 'text-bad',
};
const LINK = 'underline decoration-line-strong underline-offset-4 hover:decoration-current';

export function LineName({ line: { name, partOf, href, maxRunning } }: Line) {
  return (
    <span className="inline-flex flex-wrap items-baseline gap-x-2 wrap-anywhere">
      <a href={href} className={`${LINK} ${partOf === null ? 'font-semibold' : ''}`}>
        {name}
        {partOf !== null && <span className="sr-only"> of {partOf}</span>}
      </a>
      {maxRunning !== null && (
        <span className="text-xs whitespace-nowrap text-muted">
          {maxRunning === 1 ? 'one' : maxRunning} at a time
        </span>
      )}
    </span>
  );
}

export function OldestDue({ line: { oldestDueAtMs } }: Line) {
  const nowMs = useServerNow();
  if (oldestDueAtMs === null) return <span className="text-muted">–</span>;
  return shortDuration((nowMs - oldestDueAtMs) / 1_000);
}

export function SettledCounts({ line: { settled } }: Line) {
  if (settled === null) return null;
  if (settled.length === 0) return <span className="text-muted">–</span>;
  return (
    <span className="inline-flex flex-wrap gap-x-3">
      {settled.map(({ kind, label, count }) => (
        <span key={kind} className={`whitespace-nowrap ${SETTLED_TONES[kind]}`}>
          {count.toLocaleString('en-US')} {label}
        </span>
      ))}
    </span>
  );
}

export function LastTick({ line: { lastTick } }: Line) {
  if (lastTick === null) return <span className="text-muted">never ticked</span>;
  return (
    <span className="inline-flex flex-wrap items-baseline gap-x-2 lg:flex-nowrap">
      <RelativeTime at={lastTick.at} />
      {lastTick.tick && <TickOutcome tick={lastTick.tick} />}
    </span>
  );
}

export function Troubles({ line: { troubles, partOf, isHealthy } }: Line) {
  if (troubles.length === 0)
    return isHealthy && partOf === null && <span className="text-good">nothing</span>;
  return (
    <ul className="grid gap-0.5">
      {troubles.map(({ tone, text, href }) => (
        <li key={text} className={`wrap-anywhere first-letter:uppercase ${TROUBLE_TONES[tone]}`}>
          {href ? (
            <a href={href} className={LINK}>
              {text}
            </a>
          ) : (
            text
          )}
        </li>
      ))}
    </ul>
  );
}
