import { type AccountSettings, dailyLimitOn, isOpenAt, localTime, nextMidnight } from '../expected-pace.ts';
import type { Transition } from '../recorder.ts';
import { hour, second } from '../world.ts';

interface Claim {
  at: number;
  /** The number of the account's day, as `dayAt` counts days. */
  day: number;
  rowId: string;
  /** An operator or a webhook reported that it had no effect, so its place may be free again or not. */
  maybeFree: boolean;
  /** The provider refused the call. It keeps its place in the gap and the hour, and returns its place in the day. */
  isRefused: boolean;
}

/** One account's claims in order, without those that had no effect, and how much of its pace they use. */
export class ClaimsInTime {
  private claims: Claim[] = [];
  /** The last of the account's days that was counted. */
  private day = { number: 0, until: 0 };
  private readonly running = new Map<string, number>();

  /** Applies a change of one of the account's rows, after it was checked. `isRefused`: it follows a call that the provider refused. */
  follow(
    { rowId, from, to, at, leaseExpiresAt, lastError, byHand }: Transition,
    zone: string,
    isRefused: boolean,
  ): void {
    if (to === 'running') {
      this.day = this.dayAt(at, zone);
      this.claims.push({ at, day: this.day.number, rowId, maybeFree: false, isRefused: false });
      this.running.set(rowId, leaseExpiresAt ?? 0);
      return;
    }
    this.running.delete(rowId);
    if ((from !== 'running' && from !== 'unknown') || (to !== 'pending' && to !== 'dead')) return;
    const last = this.claims.findLastIndex((claim) => claim.rowId === rowId);
    const claim = this.claims[last];
    // Certainly without effect, so its place is free again.
    if (claim && isRefused) claim.isRefused = true;
    else if (claim && byHand === null && (from === 'running' || lastError?.startsWith('it was not sent')))
      this.claims.splice(last, 1);
    else if (claim) claim.maybeFree = true;
  }

  /**
   * Returns the reasons against a claim at this instant; none if the account may send. `benefit`: places that may be free count as free when
   * a claim is checked, and as used when a wait is checked.
   */
  objections(settings: AccountSettings, at: number, benefit: 'of the claim' | 'of the wait'): string[] {
    const objections: string[] = [];
    const claims =
      benefit === 'of the claim' ? this.claims.filter(({ maybeFree }) => !maybeFree) : this.claims;
    const { date } = localTime(at, settings.time_zone);
    const limit = dailyLimitOn(settings, date);
    const { number } = this.dayAt(at, settings.time_zone);
    const today = claims.filter(({ day, isRefused }) => day === number && !isRefused).length;
    if (today >= limit) objections.push(`daily limit: ${today} of ${limit} used on ${date}`);
    const inTheHour = claims.filter((claim) => claim.at > at - hour).length;
    if (settings.hourly_limit !== null && inTheHour >= settings.hourly_limit) {
      objections.push(`hourly limit: ${inTheHour} of ${settings.hourly_limit} used`);
    }
    const last = claims.at(-1);
    const sinceLast = last ? (at - last.at) / second : Number.POSITIVE_INFINITY;
    if (settings.gap_seconds !== null && sinceLast < settings.gap_seconds) {
      objections.push(`gap: ${sinceLast} s of ${settings.gap_seconds} s`);
    }
    if (!isOpenAt(settings.hours, at, settings.time_zone)) {
      objections.push(
        `hours: ${JSON.stringify(localTime(at, settings.time_zone))} is outside ${JSON.stringify(settings.hours)}`,
      );
    }
    if (settings.pausedUntil !== null && settings.pausedUntil > at) {
      objections.push(`paused until ${new Date(settings.pausedUntil).toISOString()}`);
    }
    for (const [rowId, leaseUntil] of this.running) {
      if (leaseUntil > at) objections.push(`one at a time: row ${rowId} is running`);
    }
    return objections;
  }

  /** Returns the account's day at an instant. A change of zone extends the current day to the first midnight after its end in the new zone. */
  private dayAt(at: number, zone: string): typeof this.day {
    const { number, until } = this.day;
    if (until > at) return this.day;
    const goesOnUntil = nextMidnight(until - 1, zone);
    return goesOnUntil > at
      ? { number, until: goesOnUntil }
      : { number: number + 1, until: nextMidnight(at, zone) };
  }

  /** Whether the gap and its longest jitter may still hold the account. */
  mayWaitFor(settings: AccountSettings, at: number): boolean {
    const last = this.claims.at(-1);
    const maxGapMs = ((settings.gap_seconds ?? 0) + settings.gap_jitter_seconds) * second;
    return last !== undefined && settings.gap_seconds !== null && at < last.at + maxGapMs;
  }
}
