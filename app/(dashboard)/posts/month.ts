import type { ListedRow } from '@/lib/store/listed-row.ts';

const dayMs = 86_400_000;

/** A month of the calendar, in UTC. */
export interface Month {
  /** `2026-12`. */
  name: string;
  /** `December 2026`. */
  title: string;
  /** Its first instant, and the first one after it. */
  from: string;
  to: string;
  before: string;
  after: string;
}

/** Returns the month of an address, `2026-12`. Anything else is the month of `nowMs`. */
export function monthOf(given: string | undefined, nowMs: number): Month {
  const wanted = /^20\d\d-(0[1-9]|1[0-2])$/.test(given ?? '')
    ? String(given)
    : new Date(nowMs).toISOString().slice(0, 7);
  const from = new Date(`${wanted}-01T00:00:00Z`);
  const shifted = (months: number) =>
    new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1)).toISOString();
  return {
    name: wanted,
    title: from.toLocaleDateString('en-GB', { month: 'long', year: 'numeric', timeZone: 'UTC' }),
    from: from.toISOString(),
    to: shifted(1),
    before: shifted(-1).slice(0, 7),
    after: shifted(1).slice(0, 7),
  };
}

export interface Post {
  id: string;
  status: string;
  /** When it is due, or when it was finished. */
  at: string;
  text: string;
  account: string | null;
}

/** Returns a listed row as an entry of the calendar; null if it has no time. */
export function postOf({ id, status, due_at, finished_at, account, row }: ListedRow): Post | null {
  const at = finished_at ?? due_at;
  return at === null
    ? null
    : { id, status, at, text: typeof row.body === 'string' ? row.body : '', account: account?.name ?? null };
}

export interface CalendarDay {
  /** `2026-12-01`. */
  date: string;
  /** The day before or after the month. */
  isOutside: boolean;
  posts: Post[];
}

/** Returns the weeks of a month, Monday first, with the posts of each day in order. */
export function weeksOf({ from, to }: Month, posts: Post[]): CalendarDay[][] {
  const firstMs = Date.parse(from);
  const mondayMs = firstMs - ((new Date(firstMs).getUTCDay() + 6) % 7) * dayMs;
  const weeks: CalendarDay[][] = [];
  for (let weekMs = mondayMs; weekMs < Date.parse(to); weekMs += 7 * dayMs)
    weeks.push(
      Array.from({ length: 7 }, (_, n) => {
        const date = new Date(weekMs + n * dayMs).toISOString();
        return {
          date: date.slice(0, 10),
          isOutside: date < from || date >= to,
          posts: posts
            .filter(({ at }) => new Date(at).toISOString().slice(0, 10) === date.slice(0, 10))
            .sort((a, b) => Date.parse(a.at) - Date.parse(b.at)),
        };
      }),
    );
  return weeks;
}
