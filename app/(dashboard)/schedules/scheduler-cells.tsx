import { ClockTime, RelativeTime } from '@/components/time/relative-time.tsx';
import { scheduleInWords } from '@/components/time/schedule-in-words.ts';
import type { ScheduleCoverage, SlotException } from '@/lib/cron/slots/schedule-coverage.ts';
import { shortDuration } from '@/lib/stats/short-duration.ts';

type SlotKind = 'ran' | SlotException['what'] | 'offGrid';

export const SLOT_KINDS: { what: SlotKind; label: string; tone: string; meaning: string }[] = [
  { what: 'ran', label: 'ran', tone: 'text-good', meaning: 'delivered within a minute, and its tick ran' },
  {
    what: 'missed',
    label: 'missed',
    tone: 'font-semibold text-bad',
    meaning: 'not delivered: the rows that were due waited for the next tick',
  },
  {
    what: 'late',
    label: 'late',
    tone: 'font-semibold text-warn',
    meaning: 'delivered more than a minute late',
  },
  {
    what: 'overlapped',
    label: 'overlapped',
    tone: 'text-muted',
    meaning: 'delivered while another tick was running, which claims the due rows',
  },
  {
    what: 'duplicate',
    label: 'duplicate',
    tone: 'text-muted',
    meaning: 'delivered more than once: claims keep each row from running twice',
  },
  {
    what: 'offGrid',
    label: 'off schedule',
    tone: 'text-warn',
    meaning: 'delivered, but the schedule has no such slot',
  },
];

/** Draws the path that a scheduler calls, its schedule and its name. */
export function SchedulerName({
  of: { scheduler, path, schedule, until, guessed },
}: {
  of: ScheduleCoverage;
}) {
  return (
    <span className="grid grid-cols-[minmax(0,1fr)]">
      <span className="font-mono text-[0.8125rem] wrap-anywhere">{path}</span>
      <span className="text-xs text-muted">
        {scheduleInWords(schedule)} by {scheduler}
        {guessed && ', slots guessed'}
        {until && (
          <>
            , replaced at <ClockTime at={until} />
          </>
        )}
      </span>
    </span>
  );
}

/** Draws the counts of slots that are not zero. */
export function SlotCounts({ of }: { of: ScheduleCoverage }) {
  const counts = SLOT_KINDS.filter(({ what }) => of[what] > 0);
  if (counts.length === 0) return <span className="text-muted">no slot yet</span>;
  return (
    <span className="inline-flex flex-wrap gap-x-3">
      {counts.map(({ what, label, tone }) => (
        <span key={what} className={`whitespace-nowrap ${tone}`}>
          {of[what].toLocaleString('en-US')} {label}
        </span>
      ))}
    </span>
  );
}

/** Draws the latest slots that were missed, late, overlapped or delivered twice, folded at first. */
export function SlotExceptions({ of: { exceptions, scheduler, path } }: { of: ScheduleCoverage }) {
  if (exceptions.length === 0) return <span className="text-muted">–</span>;
  return (
    <details>
      <summary className="cursor-pointer whitespace-nowrap">show slots</summary>
      <ul aria-label={`Exceptions of ${path} by ${scheduler}`} className="mt-1 grid gap-0.5 text-xs">
        {exceptions.map((one) => (
          <li key={`${one.slot} ${one.what}`}>
            <Exception one={one} />
          </li>
        ))}
      </ul>
    </details>
  );
}

function Exception({ one: { slot, to, slots, what, lateSeconds } }: { one: SlotException }) {
  const tone = SLOT_KINDS.find((known) => known.what === what)?.tone;
  return (
    <>
      {slots > 1 && (
        <>
          <ClockTime at={slot} /> to{' '}
        </>
      )}
      <ClockTime at={to} />{' '}
      <span className={`whitespace-nowrap ${tone}`}>
        {slots > 1 && `${slots.toLocaleString('en-US')} `}
        {what}
      </span>
      {lateSeconds !== undefined && (
        <span className="whitespace-nowrap text-muted">
          {' '}
          by {slots > 1 && 'up to '}
          {shortDuration(lateSeconds)}
        </span>
      )}
    </>
  );
}

/** Draws the last slot, and whether two have passed since without a call. */
export function LastSlot({ of: { lastSlot, silent } }: { of: ScheduleCoverage }) {
  return (
    <span className={silent ? 'font-semibold text-bad' : ''}>
      <RelativeTime at={lastSlot} />
      {silent && ', silent since'}
    </span>
  );
}
