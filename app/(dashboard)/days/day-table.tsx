import type { DayLine } from './day-lines';
import { DayAccounts, DayName, OutcomeCounts, Percentiles } from './day-parts';

/** What the percentiles are of. */
export const PERCENTILES_MEAN =
  'Of what was done: from due to settled. Of monitors: how long a check took that found it up. Half took less, and 95 of 100.';

/** For wide screens; `DayCards` shows the same on narrow ones. */
export function DayTable({ lines }: { lines: DayLine[] }) {
  return (
    <table className="hidden w-full border-collapse md:table">
      <thead>
        <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">day</th>
          <th scope="col" className="pl-4">
            queue
          </th>
          <th scope="col" className="pl-4">
            outcomes
          </th>
          <th scope="col" className="pl-4 text-right" title={PERCENTILES_MEAN}>
            p50 / p95
          </th>
          <th scope="col" className="pl-8">
            accounts
          </th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line, index) => {
          const isFirst = line.day !== lines[index - 1]?.day;
          return (
            <tr
              key={line.key}
              className={`align-baseline *:py-1.5 ${isFirst ? '*:border-t *:border-line' : ''} ${index === 0 ? '*:border-t-0' : ''}`}
            >
              <td className="w-[16%] font-medium">
                <span className={isFirst ? '' : 'sr-only'}>
                  <DayName day={line.day} partial={line.partial} />
                </span>
              </td>
              <th scope="row" className="pl-4 text-left font-normal">
                {line.queue}
              </th>
              <td className="pl-4">
                <OutcomeCounts of={line} />
              </td>
              <td className="pl-4 text-right">
                <Percentiles of={line} />
              </td>
              <td className="w-[34%] pl-8">
                <DayAccounts line={line} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
