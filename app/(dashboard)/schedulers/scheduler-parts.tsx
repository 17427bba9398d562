import { clockTime } from '@/components/time/clock-time';
import { scheduleInWords } from '@/components/time/schedule-in-words';
import { useServerNow } from '@/components/time/server-now';
import type { ScheduleCoverage, SlotException } from '@/lib/cron/slots/schedule-coverage';
import { shortDuration } from '@/lib/stats/short-duration';

type What = 'ran' | SlotException['what'] | 'offGrid';

const WHATS: { what: What; label: string; tone: string; meaning: string }[] = [
  { what: 'ran', label: 'ran', tone: 'text-good', meaning: 'delivered within a minute, and ticked' },
  {
    what: 'missed',
    label: 'missed',
    tone: 'font-semibold text-bad',
    meaning: 'not delivered: what was due was done later, by the next tick',
  },
  {
    what: 'late',
    label: 'late',
    tone: 'font-semibold text-warn',
    meaning: 'delivered more than a minute after their time',
  },
  {
    what: 'overlapped',
    label: 'overlapped',
    tone: 'text-muted',
    meaning: 'delivered while another tick was at work, which does what is due',
  },
  {
    what: 'duplicate',
    label: 'duplicate',
    tone: 'text-muted',
    meaning: 'delivered more than once: each row is done once all the same',
  },
  {
    what: 'offGrid',
    label: 'off its schedule',
    tone: 'text-warn',
    meaning: 'named by the scheduler, but not by its schedule',
  },
];

/** Which scheduler calls what, and when. */
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
          <span title="This scheduler does not say which slot a call is of: it is taken for the latest before the call. A call that is late by more than the schedule’s pace counts for a later slot.">
            , slots guessed
          </span>
        )}
        {until && (
          <span title="Another schedule of the same scheduler and path has taken over.">
            , replaced since <At instant={until} />
          </span>
        )}
      </span>
    </span>
  );
}

/** How many slots came to what, those that are not zero. */
export function SlotCounts({ of }: { of: ScheduleCoverage }) {
  const counts = WHATS.filter(({ what }) => of[what] > 0);
  if (counts.length === 0) return <span className="text-muted">none was due yet</span>;
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

/** The latest slots that did not simply run, to be unfolded. */
export function SlotExceptions({ of: { exceptions, scheduler, path } }: { of: ScheduleCoverage }) {
  if (exceptions.length === 0) return <span className="text-muted">–</span>;
  return (
    <details>
      <summary className="cursor-pointer whitespace-nowrap">which slots</summary>
      <ul
        aria-label={`Slots of ${path} by ${scheduler} that did not simply run`}
        className="mt-1 grid gap-0.5 text-xs"
      >
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
  const tone = WHATS.find((known) => known.what === what)?.tone;
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
 * By the browser's own time zone, which the server that renders it first does not know. The day is left out where the instant that it stands
 * `before` is of the same.
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
