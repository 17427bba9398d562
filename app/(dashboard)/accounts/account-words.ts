import type { AccountWithPace } from '@/lib/operate/account-pace.ts';

type Pace = AccountWithPace['pace'][number];

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const DAY_WORDS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

export interface AccountState {
  tone: 'good' | 'warn' | 'bad' | 'muted';
  /** A few words: `may send`, `paused`. */
  word: string;
  reason: string | null;
  /** When it ends by itself. */
  until: string | null;
}

/** Says whether an account may send now, and why not. `nowMs`: the server's time. */
export function accountState(account: AccountWithPace, nowMs: number): AccountState {
  const { paused_until: until, paused_reason: reason, refused, pace } = account;
  const end = until === null || until === 'infinity' ? null : until;
  const isPaused = until !== null && !(end !== null && Date.parse(end) <= nowMs);
  if (refused !== null)
    return { tone: 'bad', word: 'refused', reason: refused, until: isPaused ? end : null };
  if (isPaused) return { tone: 'warn', word: 'paused', reason, until: end };
  // A queue with nothing to send says little.
  const withRows = pace.filter(({ due }) => due > 0);
  const asked = withRows.length > 0 ? withRows : pace;
  if (asked.length === 0 || asked.some(({ waits }) => waits.length === 0))
    return { tone: 'good', word: 'may send', reason: null, until: null };
  const [wait] = asked.flatMap(({ waits }) => waits);
  return { tone: 'muted', word: 'waits', reason: wait?.text ?? null, until: wait?.until ?? null };
}

/** Returns the queues in which an account has sent today or has due rows; the first one if it has none. */
export function busyPace(pace: Pace[]): Pace[] {
  const busy = pace.filter(({ used, due }) => used > 0 || due > 0);
  return busy.length > 0 ? busy : pace.slice(0, 1);
}

/** Returns when an account's first row can go in any queue; null if there is none. */
export function nextSend(pace: Pace[]): string | null {
  const times = pace.flatMap(({ next_send_at: at }) => at ?? []);
  return times.sort((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null;
}

/** Says how much of today's limit is used: `12 of 30, 18 left`. */
export function usedInWords({ used, limit, left }: Pick<Pace, 'used' | 'limit' | 'left'>): string {
  return `${used.toLocaleString('en-US')} of ${limit.toLocaleString('en-US')}, ${left.toLocaleString('en-US')} left`;
}

/** A day of the week with the spans in which an account may send, in hours of its own day. */
export interface OpenDay {
  day: string;
  spans: { from: number; to: number }[];
  /** `09:00–12:30, 13:30–18:00`, `closed` or `all day`. */
  text: string;
}

/** Lists the days of a week with an account's sending hours. Without hours every day is open. */
export function openDays(hours: AccountWithPace['hours']): OpenDay[] {
  return DAYS.map((name, n) => {
    const day = DAY_WORDS[n] ?? name;
    if (hours === null) return { day, spans: [{ from: 0, to: 24 }], text: 'all day' };
    const spans = [...(hours[name] ?? [])].sort();
    return {
      day,
      spans: spans.map((span) => {
        const [from = '', to = ''] = span.split('-');
        return { from: hourOf(from), to: hourOf(to) };
      }),
      text: spans.length === 0 ? 'closed' : spans.join(', ').replaceAll('-', '–'),
    };
  });
}

function hourOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours + minutes / 60;
}
