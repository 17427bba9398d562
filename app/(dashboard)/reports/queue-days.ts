import type { Analytics } from '@/lib/store/analytics.ts';

export type Outcome = Analytics['totals'][number]['outcome'];

/** The outcomes of a queue, or of one of its accounts, on one day. */
export interface DayFigures {
  outcomes: { outcome: Outcome; rows: number }[];
  /** Seconds, of rows that succeeded; null if none was measured. */
  p50: number | null;
  p95: number | null;
}

export interface QueueDay extends DayFigures {
  key: string;
  day: string;
  /** The day was not over when it was rolled up. */
  partial: boolean;
  queue: string;
  /** The accounts with the most rows first; empty in a queue without accounts. */
  accounts: (DayFigures & { key: string; name: string; others: boolean })[];
}

const ORDER: Outcome[] = ['done', 'up', 'degraded', 'down', 'unknown', 'dead', 'cancelled'];
const SUCCEEDED: Outcome[] = ['done', 'up'];

/** Returns an entry for each day and queue: the newest day first, queues by name. */
export function queueDays({ totals, days }: Analytics): QueueDay[] {
  const entries = [...groupBy(totals, ({ day, queue }) => `${day} ${queue}`)].map(([key, ofQueue]) => {
    const { day, partial, queue } = ofQueue[0];
    const accounts = days.filter((one) => one.day === day && one.queue === queue);
    return { key, day, partial, queue, ...figuresOf(ofQueue), accounts: byAccount(accounts) };
  });
  return entries.sort((a, b) => b.day.localeCompare(a.day) || a.queue.localeCompare(b.queue));
}

function byAccount(days: Analytics['days']): QueueDay['accounts'] {
  const accounts = groupBy(days, ({ account_id, others }) => (others ? 'others' : `id ${account_id}`));
  return [...accounts]
    .map(([key, [first, ...more]]) => ({
      key,
      name: nameOf(first),
      others: first.others,
      ...figuresOf([first, ...more]),
    }))
    .sort((a, b) => Number(a.others) - Number(b.others) || rowsOf(b) - rowsOf(a));
}

function nameOf({ account_id, account, others }: Analytics['days'][number]): string {
  if (others) return 'all others';
  if (account_id === null) return 'no account';
  return account ?? `${account_id} (deleted)`;
}

type Entry = Pick<Analytics['totals'][number], 'outcome' | 'rows' | 'p50_seconds' | 'p95_seconds'>;

function figuresOf(entries: Entry[]): DayFigures {
  const outcomes = ORDER.flatMap((outcome) => {
    const rows = entries.reduce((sum, entry) => sum + (entry.outcome === outcome ? entry.rows : 0), 0);
    return rows > 0 ? [{ outcome, rows }] : [];
  });
  const good = entries.find(({ outcome }) => SUCCEEDED.includes(outcome));
  return { outcomes, p50: good?.p50_seconds ?? null, p95: good?.p95_seconds ?? null };
}

const rowsOf = ({ outcomes }: DayFigures) => outcomes.reduce((sum, { rows }) => sum + rows, 0);

function groupBy<T>(items: T[], keyOf: (item: T) => string): Map<string, [T, ...T[]]> {
  const groups = new Map<string, [T, ...T[]]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

/** Formats a day as `Sun 22 Nov`, the same in every time zone. */
export function dayName(day: string): string {
  return new Date(`${day}T00:00:00Z`)
    .toLocaleDateString('en-GB', { timeZone: 'UTC', weekday: 'short', day: 'numeric', month: 'short' })
    .replace(',', '');
}
