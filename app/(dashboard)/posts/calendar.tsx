import Link from 'next/link';
import { LINK, queueHref } from '@/components/link.ts';
import type { QueueStats } from '@/lib/store/stats.ts';
import { type CalendarDay, type Month, type Post, weeksOf } from './month.ts';

const DAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
/** The list of rows has the others. */
const maxOfDay = 6;

interface CalendarProps {
  month: Month;
  posts: Post[];
  words: QueueStats['words'];
  /** `2026-12-01`. */
  today: string;
}

/** Draws a month of posts as a table. A narrow screen lists the days that have posts. */
export function Calendar({ month, posts, words, today }: CalendarProps) {
  if (posts.length === 0)
    return <p className="text-muted">No post is scheduled or was published in {month.title}.</p>;
  return (
    <table className="w-full table-fixed border-collapse max-md:block">
      <caption className="sr-only">Posts of {month.title}, by days of UTC</caption>
      <thead className="max-md:sr-only">
        <tr>
          {DAYS.map((day) => (
            <th key={day} scope="col" className="pb-1 text-left text-xs font-normal text-muted">
              {day}
            </th>
          ))}
        </tr>
      </thead>
      <tbody className="max-md:block">
        {weeksOf(month, posts).map((week) => (
          <tr key={week[0]?.date} className="max-md:block">
            {week.map((day) => (
              <Day key={day.date} day={day} words={words} isToday={day.date === today} />
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Day({
  day: { date, isOutside, posts },
  words,
  isToday,
}: {
  day: CalendarDay;
  words: QueueStats['words'];
  isToday: boolean;
}) {
  const more = posts.length - maxOfDay;
  return (
    <td
      className={`h-20 border border-line p-1.5 align-top max-md:block max-md:h-auto ${isOutside ? 'bg-sunken' : ''} ${
        posts.length === 0 ? 'max-md:hidden' : ''
      }`}
    >
      <p className={`text-xs ${isToday ? 'font-semibold text-accent' : 'text-muted'}`}>
        <time dateTime={date}>{Number(date.slice(8))}</time>
        <span className="md:hidden">
          {' '}
          {new Date(date).toLocaleDateString('en-GB', { weekday: 'long', timeZone: 'UTC' })}
        </span>
        {isToday && <span> today</span>}
      </p>
      <ul className="grid gap-1">
        {posts.slice(0, maxOfDay).map((post) => (
          <Entry key={post.id} post={post} words={words} />
        ))}
      </ul>
      {more > 0 && (
        <p className="mt-1 text-xs">
          <Link href={dayHref(date)} prefetch={false} className={LINK}>
            {more} more
          </Link>
        </p>
      )}
    </td>
  );
}

function Entry({
  post: { id, status, at, text, account },
  words,
}: {
  post: Post;
  words: QueueStats['words'];
}) {
  return (
    <li className="min-w-0 text-xs">
      <Link
        href={queueHref('posts', `/rows/${id}`)}
        prefetch={false}
        className="block rounded px-1 py-0.5 hover:bg-sunken"
      >
        <span className="flex flex-wrap gap-x-1">
          <span className="font-medium">{new Date(at).toISOString().slice(11, 16)}</span>
          <span className={toneOf(status, words)}>{status}</span>
        </span>
        <span className="line-clamp-2 text-ink wrap-anywhere">{text}</span>
        {account && <span className="block truncate text-muted">{account}</span>}
      </Link>
    </li>
  );
}

function toneOf(status: string, words: QueueStats['words']): string {
  if (status === words.done) return 'text-good';
  if (status === words.dead) return 'text-bad';
  return status === words.unknown ? 'text-warn' : 'text-muted';
}

/** Lists the rows of a day by their due time. */
function dayHref(date: string): string {
  const to = new Date(Date.parse(date) + 86_400_000).toISOString();
  return queueHref(
    'posts',
    `/rows?${new URLSearchParams({ due_from: `${date}T00:00:00.000Z`, due_to: to })}`,
  );
}
