import type { MonitorSummary } from '@/lib/store/monitoring';
import { Latency } from './latency';
import { MonitorName, MonitorNotes, MonitorRegion, Uptime } from './monitor-parts';
import { MonitorState } from './monitor-state';

/** Monitors that something is to be said of, for wide screens; `MonitorCards` shows the same on narrow ones. */
export function MonitorTable({ monitors }: { monitors: MonitorSummary[] }) {
  return (
    <table className="mt-2 hidden w-full border-collapse lg:table">
      <thead>
        <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">monitor</th>
          <th scope="col" className="pl-4">
            state
          </th>
          <th scope="col" className="pl-4">
            what is wrong
          </th>
          <th scope="col" className="pl-4" title="where it is checked now">
            region
          </th>
          <th scope="col" className="pl-4 text-right">
            last check
          </th>
          <th scope="col" className="pl-4 text-right" title="share of its checks that were not down">
            up 24 h
          </th>
          <th scope="col" className="pl-3 text-right">
            7 d
          </th>
          <th scope="col" className="pl-3 text-right">
            30 d
          </th>
        </tr>
      </thead>
      <tbody>
        {monitors.map((monitor) => (
          <tr
            key={monitor.id}
            className="align-baseline *:border-t *:border-line *:py-1.5 first:*:border-t-0"
          >
            <th scope="row" className="w-[22%] text-left font-normal">
              <MonitorName monitor={monitor} />
            </th>
            <td className="pl-4">
              <MonitorState monitor={monitor} />
            </td>
            <td className="pl-4">
              <MonitorNotes monitor={monitor} />
            </td>
            <td className="pl-4 whitespace-nowrap">
              <MonitorRegion monitor={monitor} />
            </td>
            <td className="pl-4 text-right">
              <Latency last={monitor.last} />
            </td>
            <td className="pl-4 text-right whitespace-nowrap">
              <Uptime share={monitor.uptime.day} />
            </td>
            <td className="pl-3 text-right whitespace-nowrap">
              <Uptime share={monitor.uptime.week} />
            </td>
            <td className="pl-3 text-right whitespace-nowrap">
              <Uptime share={monitor.uptime.month} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
