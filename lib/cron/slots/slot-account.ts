import type { SlotEntry } from '../../store/slots';
import { maxInstants, scheduleInstants } from './schedule-instants';

/** A slot that comes within it is on time; one that has not come by then is missed, until it does. */
export const lateAfterSeconds = 60;

/**
 * What became of a slot. `ran`: it was delivered in time, and a tick was let run by it. `late`: it was not delivered in time. One that was late
 * and then found another tick at work counts as late: that is the scheduler's failing, while an overlap harms nothing. `overlapped`: in time, but
 * every delivery found another tick running. `missed`: it has not been delivered.
 */
export type SlotState = 'ran' | 'late' | 'overlapped' | 'missed';

export interface AccountedSlot {
  atMs: number;
  state: SlotState;
  /** Of the first delivery; null where there was none. */
  lateSeconds: number | null;
  deliveries: number;
}

export interface SlotAccount {
  /** Slots are expected from here on. */
  sinceMs: number;
  /** Each slot that the schedule names and that should have come by now, or has, ascending. */
  slots: AccountedSlot[];
  /** Slots that were delivered but that the schedule does not name, or not yet. */
  offGrid: number;
}

interface AccountOptions {
  /** Nothing is expected any more from here on: another schedule has taken over. */
  untilMs?: number;
  /** `scheduleInstants`, or what remembers it. */
  instantsOf?: typeof scheduleInstants;
}

/**
 * What became of each slot of an entry in the window: from its first slot, where that is later, until now. One that is not there yet but may
 * still come in time is neither missed nor anything else.
 */
export function accountOfSlots(
  entry: Pick<SlotEntry, 'schedule' | 'first_slot' | 'slots'>,
  nowMs: number,
  windowStartMs: number,
  { untilMs = Number.POSITIVE_INFINITY, instantsOf = scheduleInstants }: AccountOptions = {},
): SlotAccount {
  const lateAfterMs = lateAfterSeconds * 1_000;
  // A scheduler may be fast: what it delivers a little before the time belongs to the schedule all the same.
  const grid = instantsOf(entry.schedule, windowStartMs, nowMs + lateAfterMs);
  // Of a window that has too many instants only the last are there.
  const earliestMs = grid.length >= maxInstants ? (grid[0] as number) : windowStartMs;
  const sinceMs = Math.max(earliestMs, Date.parse(entry.first_slot));
  const delivered = new Map(
    entry.slots.filter(({ atMs }) => atMs >= sinceMs && atMs < untilMs).map((slot) => [slot.atMs, slot]),
  );
  const slots: AccountedSlot[] = [];
  for (const atMs of grid) {
    if (atMs < sinceMs || atMs >= untilMs) continue;
    const slot = delivered.get(atMs);
    delivered.delete(atMs);
    if (slot) {
      const { lateSeconds, deliveries, ran } = slot;
      const state = lateSeconds > lateAfterSeconds ? 'late' : ran ? 'ran' : 'overlapped';
      slots.push({ atMs, state, lateSeconds, deliveries });
    } else if (nowMs - atMs > lateAfterMs) {
      slots.push({ atMs, state: 'missed', lateSeconds: null, deliveries: 0 });
    }
  }
  return { sinceMs, slots, offGrid: delivered.size };
}
