import type { MonitorSummary } from '@/lib/store/monitoring.ts';
import { Latency } from './latency.tsx';
import { MonitorName, MonitorRegion, Uptime } from './monitor-cells.tsx';

/** Draws healthy monitors, each on one line, in two columns on wide screens. */
export function HealthyMonitors({ monitors }: { monitors: MonitorSummary[] }) {
  const [half, columns] = [Math.ceil(monitors.length / 2), [0, 1]];
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-x-10 lg:grid-cols-2">
      {columns.map((column) => (
        <HealthyTable
          key={column}
          isSecond={column > 0}
          monitors={monitors.slice(column * half, (column + 1) * half)}
        />
      ))}
    </div>
  );
}

function HealthyTable({ monitors, isSecond }: { monitors: MonitorSummary[]; isSecond: boolean }) {
  if (monitors.length === 0) return null;
  return (
    <table className="h-fit w-full border-collapse">
      <thead className={isSecond ? 'max-lg:sr-only' : ''}>
        <tr className="text-left text-xs text-muted *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">monitor</th>
          <th scope="col" className="pl-3 max-sm:sr-only">
            region
          </th>
          <th scope="col" className="pl-3 text-right">
            last check
          </th>
          <th scope="col" className="pl-3 text-right">
            24 h
          </th>
          <th scope="col" className="hidden pl-3 text-right sm:table-cell">
            7 d
          </th>
          <th scope="col" className="hidden pl-3 text-right sm:table-cell">
            30 d
          </th>
        </tr>
      </thead>
      <tbody>
        {monitors.map((monitor) => (
          <tr key={monitor.id} className="align-baseline *:border-t *:border-line *:py-1">
            <th scope="row" className="text-left font-normal">
              <MonitorName monitor={monitor} />
            </th>
            <td className="pl-3 whitespace-nowrap text-muted max-sm:sr-only">
              <MonitorRegion monitor={monitor} />
            </td>
            <td className="pl-3 text-right">
              <Latency last={monitor.last} />
            </td>
            <td className="pl-3 text-right">
              <Uptime share={monitor.uptime.day} />
            </td>
            <td className="hidden pl-3 text-right sm:table-cell">
              <Uptime share={monitor.uptime.week} />
            </td>
            <td className="hidden pl-3 text-right sm:table-cell">
              <Uptime share={monitor.uptime.month} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
