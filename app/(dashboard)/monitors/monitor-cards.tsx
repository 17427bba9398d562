import type { MonitorSummary } from '@/lib/store/monitoring';
import { Latency } from './latency';
import { MonitorName, MonitorNotes, MonitorRegion, Uptimes } from './monitor-parts';
import { MonitorState } from './monitor-state';

/** Monitors that something is to be said of, for narrow screens. */
export function MonitorCards({ monitors }: { monitors: MonitorSummary[] }) {
  return (
    <ul className="mt-2 divide-y divide-line border-t border-line lg:hidden">
      {monitors.map((monitor) => (
        <li key={monitor.id} className="grid grid-cols-[minmax(0,1fr)] gap-1 py-2.5">
          <div className="flex flex-wrap items-baseline justify-between gap-x-3 gap-y-1">
            <MonitorName monitor={monitor} />
            <span className="inline-flex items-baseline gap-2">
              <span className="text-muted">
                <MonitorRegion monitor={monitor} />
              </span>
              <MonitorState monitor={monitor} />
            </span>
          </div>
          <MonitorNotes monitor={monitor} />
          <div className="flex flex-wrap items-baseline justify-between gap-x-2 gap-y-1">
            <Uptimes monitor={monitor} />
            <Latency last={monitor.last} />
          </div>
        </li>
      ))}
    </ul>
  );
}
