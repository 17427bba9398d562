import { clockTime } from '@/components/time/clock-time.ts';
import { scheduleInWords } from '@/components/time/schedule-in-words.ts';
import { useServerNow } from '@/components/time/server-now.tsx';
import type { ScheduleCoverage, SlotException } from '@/lib/cron/slots/schedule-coverage.ts';
import { shortDuration } from '@/lib/stats/short-duration.ts';

type SlotKind = 'ran' | SlotException['what'] | 'offGrid';

const SLOT_KINDS: { what: SlotKind; label: string; tone: string; meaning: string }[] = [
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
        <span title={`${schedule} (UTC)`}>{scheduleInWords(schedule)}</span> by {scheduler}
        {guessed && (
          <span title="This scheduler does not name the slot of a call, so the latest slot before the call is assumed. A call that is late by more than one interval counts for a later slot.">
            , slots guessed
          </span>
        )}
        {until && (
          <span title="This scheduler now calls this path on another schedule.">
            , replaced at <At instant={until} />
          </span>
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
    <span title={`since ${of.since}`} className="inline-flex flex-wrap gap-x-3">
      {counts.map(({ what, label, tone, meaning }) => (
        <span key={what} title={meaning} className={`whitespace-nowrap ${tone}`}>
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
          <At instant={slot} before={to} /> to{' '}
        </>
      )}
      <At instant={to} />{' '}
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

/**
 * Draws an instant in the browser's time zone, which the server does not know when it renders. Draws only the time if `before`, the later
 * end of its range, is on the same day.
 */
function At({ instant, before }: { instant: string; before?: string }) {
  const nowMs = useServerNow();
  const words = clockTime(instant, nowMs);
  const [time, ...day] = words.split(' ');
  const sameDay = before !== undefined && clockTime(before, nowMs).endsWith(day.join(' '));
  return (
    <time dateTime={instant} title={instant} suppressHydrationWarning className="whitespace-nowrap">
      {sameDay ? time : words}
    </time>
  );
}
