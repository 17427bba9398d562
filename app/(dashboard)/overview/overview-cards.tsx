import { CountText } from '@/components/count-text';
import type { OverviewLine } from './overview-lines';
import { LastTick, LineName, OldestDue, SettledCounts, Troubles } from './overview-parts';

/** The overview for narrow screens. */
export function OverviewCards({ lines }: { lines: OverviewLine[] }) {
  return (
    <ul className="mt-2 md:hidden">
      {lines.map((line) => {
        const isPart = line.partOf !== null;
        return (
          <li
            key={line.key}
            className={`grid grid-cols-[minmax(0,1fr)] gap-1 ${isPart ? 'ml-1 border-l border-line-strong py-1.5 pl-3' : 'border-t border-line py-3'}`}
          >
            <div className="flex flex-wrap items-baseline justify-between gap-x-3 gap-y-1">
              <LineName line={line} />
              <LastTick line={line} />
            </div>
            <p className="flex flex-wrap gap-x-3 gap-y-0.5">
              <span>
                <span className={line.due.count > 0 ? 'font-semibold' : 'text-muted'}>
                  <CountText of={line.due} /> due
                </span>
                {line.oldestDueAtMs !== null && (
                  <span className="text-muted">
                    , oldest <OldestDue line={line} />
                  </span>
                )}
              </span>
              {line.running && line.running.count > 0 && (
                <span className="text-busy">
                  <CountText of={line.running} /> running
                </span>
              )}
            </p>
            {line.settled && line.settled.length > 0 && (
              <div>
                <span className="sr-only">In the last hour: </span>
                <SettledCounts line={line} />
              </div>
            )}
            {line.troubles.length > 0 && <Troubles line={line} />}
          </li>
        );
      })}
    </ul>
  );
}
