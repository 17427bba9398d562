import type { SettingsChange } from './recorder.ts';
import type { PaceSettings } from './world.ts';

/** Local date and clock time of an instant, computed by Intl and not by Postgres. */
export interface LocalTime {
  /** 2026-03-29 */
  date: string;
  /** mon, tue, … */
  weekday: string;
  minuteOfDay: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

export function localTime(at: number, zone: string): LocalTime {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    formats.set(zone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
  return {
    date: `${parts.year}-${parts.month}-${parts.day}`,
    weekday: (parts.weekday ?? '').toLowerCase(),
    minuteOfDay: Number(parts.hour) * 60 + Number(parts.minute),
  };
}

/** Returns the first midnight after an instant, to the millisecond. */
export function nextMidnight(at: number, zone: string): number {
  const { date } = localTime(at, zone);
  let [before, after] = [at, at + 50 * 3_600_000];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (localTime(middle, zone).date > date) after = middle;
    else before = middle;
  }
  return after;
}

export function isOpenAt(hours: PaceSettings['hours'], at: number, zone: string): boolean {
  if (hours === null) return true;
  const { weekday, minuteOfDay } = localTime(at, zone);
  return (hours[weekday] ?? []).some((span) => {
    const [from, to] = span.split('-').map((time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3)));
    return minuteOfDay >= (from ?? 0) && minuteOfDay < (to ?? 0);
  });
}

/** Returns the daily limit on a local date, with warm-up. */
export function dailyLimitOn(settings: PaceSettings, date: string): number {
  const { daily_limit, ramp_started_on, ramp_days, ramp_from_percent: from } = settings;
  if (ramp_started_on === null || daily_limit === 0) return daily_limit;
  const n = Math.max(0, (Date.parse(date) - Date.parse(ramp_started_on)) / 86_400_000);
  if (ramp_days === 1 || n >= ramp_days - 1) return daily_limit;
  // Whole numbers, because a rounding error below a whole limit would lose one.
  const percentTimesDays = from * (ramp_days - 1) + (100 - from) * n;
  return Math.max(1, Math.floor((daily_limit * percentTimesDays) / (100 * (ramp_days - 1))));
}

export interface AccountSettings extends PaceSettings {
  time_zone: string;
  /** Milliseconds since the epoch; null if the account is not paused. */
  pausedUntil: number | null;
}

/** The settings of all accounts at a place in the recorder's order. */
export class SettingsInTime {
  private next = 0;
  private readonly accounts = new Map<string, SettingsChange['settings']>();
  private readonly overrides = new Map<string, SettingsChange['settings']>();
  private readonly resting = new Map<string, number | null>();
  private readonly paused = new Map<string, number | null>();

  /** `queue`: the queue whose overrides apply. */
  constructor(
    private readonly queue: string,
    private readonly changes: SettingsChange[],
  ) {}

  /** Moves forward to a place; it cannot move back. */
  moveTo(place: number): void {
    for (
      let change = this.changes[this.next];
      change && change.place < place;
      change = this.changes[++this.next]
    ) {
      const { subject, settings } = change;
      const [kind = '', name = '', accountId = ''] = subject.split('/');
      const instant = (value: string | null) => (value === null ? null : Date.parse(value));
      if (kind === 'queue') this.paused.set(name, instant(settings.paused_at));
      else if (kind === 'provider') this.resting.set(name, instant(settings.paused_until));
      else if (kind !== 'pace') this.accounts.set(subject, settings);
      else if (name === this.queue) this.overrides.set(accountId, settings);
    }
  }

  get queuePausedAt(): number | null {
    return this.paused.get(this.queue) ?? null;
  }

  /** Returns until when a provider that failed rests, or null if it does not. */
  restOf(provider: string): number | null {
    return this.resting.get(provider) ?? null;
  }

  of(accountId: string): AccountSettings {
    const account = this.accounts.get(accountId);
    if (!account) throw new Error(`no settings of ${accountId} were recorded`);
    const override = Object.entries(this.overrides.get(accountId) ?? {}).filter(
      ([, value]) => value !== null,
    );
    return {
      ...(account as AccountSettings),
      ...Object.fromEntries(override),
      pausedUntil: account.paused_until === null ? null : Date.parse(account.paused_until),
    };
  }
}
