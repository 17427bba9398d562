import Link from 'next/link';
import { LINK, rowsHref } from '@/components/link.ts';
import { Notice } from '@/components/notice.tsx';
import { Section } from '@/components/section.tsx';
import { STATES, type State, StateBadge } from '@/components/state-badge.tsx';
import { RelativeTime } from '@/components/time/relative-time.tsx';
import type { ActionDetails } from '@/lib/operate/rows/actions.ts';
import { plural } from '@/lib/stats/plural.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { skipWords } from '../action-words.ts';
import { SteerButtons } from './steer-buttons.tsx';

interface ProgressProps {
  action: ActionDetails;
  queue: QueueStats;
  mayAct: boolean;
}

/** Draws how far an action is, what its rows are now, and the buttons that stop or continue it. */
export function Progress({ action, queue, mayAct }: ProgressProps) {
  const { id, total, written, skipped, state, reason, skips, by, note, created_at } = action;
  const left = total - written - skipped;
  const isOpen = state === 'collecting' || state === 'running';
  return (
    <Section id="progress" heading="Progress">
      {state === 'stopped' && (
        <Notice tone="bad" heading="It stopped">
          <span className="inline-block first-letter:uppercase">{reason ?? 'No reason is recorded'}.</span>{' '}
          {left > 0 && `${plural(left, 'row')} stay as they were.`}
        </Notice>
      )}
      <div>
        <progress
          aria-label="Rows changed"
          max={Math.max(1, total)}
          value={written + skipped}
          className="h-2 w-full appearance-none overflow-hidden rounded-full bg-sunken [&::-moz-progress-bar]:bg-accent [&::-webkit-progress-bar]:bg-sunken [&::-webkit-progress-value]:bg-accent"
        />
        <p className="mt-1">
          <strong className="font-semibold">
            {written.toLocaleString('en-US')} of {total.toLocaleString('en-US')}
          </strong>{' '}
          changed
          {skipped > 0 && `, ${skipped.toLocaleString('en-US')} skipped`}
          {left > 0 && `, ${left.toLocaleString('en-US')} left`}. By {by} <RelativeTime at={created_at} />
          {note && <>: “{note}”</>}
        </p>
        <p className="text-muted">
          <Link href={rowsHref(queue.name, { action: id })} prefetch={false} className={LINK}>
            All rows of this action
          </Link>
        </p>
      </div>
      <Now action={action} queue={queue} />
      {skips.length > 0 && (
        <div>
          <h3 className="font-semibold">Skipped</h3>
          <ul className="mt-1 divide-y divide-line border-y border-line">
            {skips.map(({ reason, count }) => (
              <li key={reason} className="flex justify-between gap-4 py-1.5">
                <span className="min-w-0 wrap-anywhere">{skipWords(reason)}</span>
                <span>{count.toLocaleString('en-US')}</span>
              </li>
            ))}
          </ul>
        </div>
      )}
      {mayAct && left > 0 && state !== 'done' && (
        <SteerButtons
          id={id}
          stop={isOpen || state === 'waiting' ? `Stop: leave ${plural(left, 'row')} as they are` : null}
          proceed={isOpen ? null : `Continue with ${plural(left, 'row')}`}
        />
      )}
    </Section>
  );
}

/** Draws what the changed rows are now. Each count links to them. */
function Now({ action: { id, now }, queue: { name, words } }: Omit<ProgressProps, 'mayAct'>) {
  const counts = STATES.flatMap((state: State) => (now[state] ? [{ state, count: now[state] }] : []));
  if (counts.length === 0) return null;
  return (
    <div>
      <h3 className="font-semibold">Its rows now</h3>
      <ul className="mt-2 flex flex-wrap gap-3">
        {counts.map(({ state, count }) => (
          <li key={state}>
            <Link
              href={rowsHref(name, { status: words[state], action: id })}
              prefetch={false}
              className="inline-flex min-h-9 items-center gap-2 rounded-lg border border-line px-3 hover:border-muted"
            >
              <span className="text-base font-semibold">{count.toLocaleString('en-US')}</span>
              <StateBadge words={words} word={words[state]} />
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}
