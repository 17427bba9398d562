import { CountText } from '@/components/count-text';
import type { OverviewLine } from './overview-lines';
import { LastTick, LineName, OldestDue, SettledCounts, Troubles } from './overview-parts';

/** For wide screens; `OverviewCards` shows the same on narrow ones. */
export function OverviewTable({ lines }: { lines: OverviewLine[] }) {
  return (
    <table className="mt-2 hidden w-full border-collapse md:table">
      <thead>
        <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">queue</th>
          <th scope="col" className="pl-4 text-right">
            due now
          </th>
          <th scope="col" className="pl-4">
            oldest
          </th>
          <th scope="col" className="pl-4 text-right">
            running
          </th>
          <th scope="col" className="pl-6">
            last hour
          </th>
          <th scope="col" className="pl-4">
            last tick
          </th>
          <th scope="col" className="pl-4">
            what is wrong
          </th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => {
          const isPart = line.partOf !== null;
          return (
            <tr
              key={line.key}
              className={`align-baseline ${isPart ? '*:pb-2.5' : '*:border-t *:border-line *:py-2.5 first:*:border-t-0'}`}
            >
              <th scope="row" className={`w-[17%] text-left font-normal ${isPart ? 'pl-4' : ''}`}>
                <LineName line={line} />
              </th>
              <td className={`pl-4 text-right ${line.due.count > 0 ? 'font-semibold' : 'text-muted'}`}>
                <CountText of={line.due} />
              </td>
              <td className="pl-4 whitespace-nowrap">
                <OldestDue line={line} />
              </td>
              <td className={`pl-4 text-right ${line.running?.count ? 'text-busy' : 'text-muted'}`}>
                {line.running && <CountText of={line.running} />}
              </td>
              <td className="pl-6">
                <SettledCounts line={line} />
              </td>
              <td className="pl-4 whitespace-nowrap">
                <LastTick line={line} />
              </td>
              <td className="w-[25%] pl-4">
                <Troubles line={line} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
