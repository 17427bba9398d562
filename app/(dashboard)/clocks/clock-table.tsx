import { RelativeTime } from '@/components/time/relative-time';
import type { ClockAccount } from '@/lib/cron/slots/clocks';
import { ClockName, SlotCounts, SlotExceptions } from './clock-parts';

/** For wide screens; `ClockCards` shows the same on narrow ones. */
export function ClockTable({ clocks }: { clocks: ClockAccount[] }) {
  return (
    <table className="hidden w-full border-collapse md:table">
      <thead>
        <tr className="text-left text-xs text-muted *:border-b *:border-line *:py-2 *:font-normal *:whitespace-nowrap">
          <th scope="col">calls</th>
          <th scope="col" className="pl-4">
            queue
          </th>
          <th scope="col" className="pl-4">
            last slot
          </th>
          <th scope="col" className="pl-6">
            slots of 24 h
          </th>
          <th scope="col" className="pl-6">
            exceptions
          </th>
        </tr>
      </thead>
      <tbody>
        {clocks.map((clock) => (
          <tr
            key={`${clock.clock} ${clock.path} ${clock.schedule}`}
            className="align-baseline *:border-t *:border-line *:py-2 first:*:border-t-0"
          >
            <th scope="row" className="w-[30%] text-left font-normal">
              <ClockName of={clock} />
            </th>
            <td className="pl-4">
              {clock.queues.map((queue) => (
                <div key={queue} className="whitespace-nowrap">
                  {queue}
                </div>
              ))}
            </td>
            <td className="pl-4 whitespace-nowrap">
              <RelativeTime at={clock.lastSlot} />
            </td>
            <td className="pl-6">
              <SlotCounts of={clock} />
            </td>
            <td className="w-[25%] pl-6">
              <SlotExceptions of={clock} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
