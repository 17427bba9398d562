import type { SlotEntry } from '../../store/slots.ts';
import { maxInstants, scheduleInstants } from './schedule-instants.ts';

/** A slot that is delivered later than this is late. Until it is delivered it counts as missed. */
const lateAfterSeconds = 60;

/**
 * How a slot was delivered:
 * - `ran`: in time, and its tick ran.
 * - `late`: late, whether its tick ran or found another one running. The delay is a fault of the scheduler; an overlap does no harm.
 * - `overlapped`: in time, but every delivery found another tick running.
 * - `missed`: not delivered.
 */
export type SlotState = 'ran' | 'late' | 'overlapped' | 'missed';

export interface AccountedSlot {
  atMs: number;
  state: SlotState;
  /** The delay of the first delivery; null if there was none. */
  lateSeconds: number | null;
  deliveries: number;
}

export interface SlotAccount {
  /** The start of the time in which slots are expected. */
  sinceMs: number;
  /** The slots of the schedule that were delivered or should have been by now, ascending. */
  slots: AccountedSlot[];
  /** Delivered slots that the schedule does not name, or that it names later than a minute from now. */
  offGrid: number;
}

interface AccountOptions {
  /** Another schedule applies from then on, so no slot is expected. */
  untilMs?: number;
  /** `scheduleInstants`, or a version of it with a cache. */
  instantsOf?: typeof scheduleInstants;
}

/**
 * Classifies each slot of an entry, from the start of the window or the entry's first slot, whichever is later, until now. A slot that may still
 * come in time is left out.
 */
export function accountOfSlots(
  entry: Pick<SlotEntry, 'schedule' | 'first_slot' | 'slots'>,
  nowMs: number,
  windowStartMs: number,
  { untilMs = Number.POSITIVE_INFINITY, instantsOf = scheduleInstants }: AccountOptions = {},
): SlotAccount {
  const lateAfterMs = lateAfterSeconds * 1_000;
  // A scheduler's clock may be fast. A slot that it delivers early still belongs to the schedule.
  const grid = instantsOf(entry.schedule, windowStartMs, nowMs + lateAfterMs);
  // Of more than `maxInstants` instants, `grid` has the last ones.
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
