import type { DayLine } from './day-lines';
import { DayAccounts, DayName, OutcomeCounts, Percentiles } from './day-parts';

/** The days for narrow screens. */
export function DayCards({ lines }: { lines: DayLine[] }) {
  return (
    <ul className="divide-y divide-line md:hidden">
      {lines.map((line) => (
        <li key={line.key} className="grid grid-cols-[minmax(0,1fr)] gap-0.5 py-2.5 first:pt-0">
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <span className="font-medium">{line.queue}</span>
            <span className="text-muted">
              <DayName day={line.day} partial={line.partial} />
            </span>
          </p>
          <OutcomeCounts of={line} />
          {line.p50 !== null && (
            <p className="text-muted">
              p50 / p95 <Percentiles of={line} />
            </p>
          )}
          {line.accounts.length > 0 && <DayAccounts line={line} />}
        </li>
      ))}
    </ul>
  );
}
