import { RelativeTime } from '@/components/time/relative-time';
import type { ClockAccount } from '@/lib/cron/slots/clocks';
import { ClockName, SlotCounts, SlotExceptions } from './clock-parts';

/** The clocks for narrow screens. */
export function ClockCards({ clocks }: { clocks: ClockAccount[] }) {
  return (
    <ul className="divide-y divide-line md:hidden">
      {clocks.map((clock) => (
        <li
          key={`${clock.clock} ${clock.path} ${clock.schedule}`}
          className="grid grid-cols-[minmax(0,1fr)] gap-1 py-2.5 first:pt-0"
        >
          <ClockName of={clock} />
          <p className="flex flex-wrap items-baseline justify-between gap-x-3">
            <SlotCounts of={clock} />
            <span className="text-muted">
              last slot <RelativeTime at={clock.lastSlot} />
            </span>
          </p>
          {clock.exceptions.length > 0 && <SlotExceptions of={clock} />}
        </li>
      ))}
    </ul>
  );
}
