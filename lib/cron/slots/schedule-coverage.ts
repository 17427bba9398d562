import { z } from 'zod';
import { wholeNumber } from '../../http/query';
import { findQueue } from '../../queues/scheduled-queue';
import { scheduledQueues } from '../../queues/scheduled-queues';
import { type SharedReading, sharedReading } from '../../services/shared-reading';
import type { Rpc } from '../../store/rpc';
import { type SlotEntry, slotEntriesSchema } from '../../store/slots';
import { scheduleInstants } from './schedule-instants';
import { type AccountedSlot, accountOfSlots } from './slot-account';

/** What a scheduler made of the slots of one path and schedule. */
export interface ScheduleCoverage {
  scheduler: string;
  path: string;
  schedule: string;
  queues: string[];
  /** Slots are expected from here on, ISO 8601. */
  since: string;
  /** Another schedule of the same scheduler and path has taken over: none is expected from here on. */
  until: string | null;
  /** The last that was delivered, be it before the hours that were asked for. */
  lastSlot: string;
  /** Vercel names no slot: it is taken for the latest before the call, so that a late call counts for the next slot. */
  guessed: boolean;
  /** As many as the next four together. */
  expected: number;
  ran: number;
  late: number;
  overlapped: number;
  missed: number;
  /** Besides: those of them that were delivered more than once. */
  duplicate: number;
  /** Besides: delivered slots that the schedule does not name. */
  offGrid: number;
  /** The latest first, each for as many slots in a row as it holds for. Where there are many, missed and late ones go first. */
  exceptions: SlotException[];
}

export interface SlotException {
  /** The first of them. */
  slot: string;
  /** The last of them. */
  to: string;
  slots: number;
  /** `duplicate`: it ran, and was delivered more than once. */
  what: 'late' | 'overlapped' | 'missed' | 'duplicate';
  /** Of those that were late, the most. */
  lateSeconds?: number;
}

export interface Coverage {
  now: string;
  hours: number;
  schedulers: ScheduleCoverage[];
}

const mostExceptions = 20;
/** Each reading goes through two days of the ledger: its answer is kept for this long. */
const keepMs = 10_000;
const kept = new Map<number, SharedReading<Coverage>>();

/** What became of the slots of the last `hours`, 1 to 48, that schedulers with a schedule delivered to queues. Throws a `StoreError`. */
export function readCoverage(rpc: Rpc, hours: number): Promise<Coverage> {
  const reading = kept.get(hours) ?? sharedReading<Coverage>(keepMs, () => Date.now());
  kept.set(hours, reading);
  return reading.get(() => askCoverage(rpc, hours));
}

async function askCoverage(rpc: Rpc, hours: number): Promise<Coverage> {
  // An hour more than is asked for: the database's scheduler may not be quite ours.
  const entries = slotEntriesSchema.parse(await rpc('read_slots', { p_hours: hours + 1 }));
  const nowMs = Date.now();
  return { now: new Date(nowMs).toISOString(), hours, schedulers: coverageOf(entries, nowMs, hours) };
}

/** The account of each entry, in their order. */
export function coverageOf(entries: SlotEntry[], nowMs: number, hours: number): ScheduleCoverage[] {
  const windowStartMs = nowMs - hours * 3_600_000;
  // Many entries share a schedule, and all of them the window.
  const known = new Map<string, number[]>();
  const instantsOf: typeof scheduleInstants = (schedule, fromMs, toMs) => {
    const instants = known.get(schedule) ?? scheduleInstants(schedule, fromMs, toMs);
    known.set(schedule, instants);
    return instants;
  };
  return entries.flatMap((entry) => {
    const untilMs = supersededAt(entry, entries);
    if (untilMs !== undefined && untilMs <= windowStartMs) return [];
    const { scheduler, path, schedule, queues } = entry;
    const { sinceMs, slots, offGrid } = accountOfSlots(entry, nowMs, windowStartMs, { untilMs, instantsOf });
    const count = (what: AccountedSlot['state']) => slots.filter(({ state }) => state === what).length;
    return {
      scheduler,
      path,
      schedule,
      queues,
      since: new Date(sinceMs).toISOString(),
      until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
      lastSlot: new Date(entry.last_slot).toISOString(),
      guessed: scheduler === 'vercel',
      expected: slots.length,
      ran: count('ran'),
      late: count('late'),
      overlapped: count('overlapped'),
      missed: count('missed'),
      duplicate: slots.filter(({ deliveries }) => deliveries > 1).length,
      offGrid,
      exceptions: exceptionsOf(slots),
    };
  });
}

/** When another schedule of the same scheduler and path came, after which this one never did again. */
function supersededAt({ scheduler, path, last_slot }: SlotEntry, entries: SlotEntry[]): number | undefined {
  const lastMs = Date.parse(last_slot);
  const later = entries
    .filter((other) => other.scheduler === scheduler && other.path === path)
    .map(({ first_slot }) => Date.parse(first_slot))
    .filter((firstMs) => firstMs > lastMs);
  return later.length > 0 ? Math.min(...later) : undefined;
}

function exceptionsOf(slots: AccountedSlot[]): SlotException[] {
  const exceptions: SlotException[] = [];
  let last: SlotException | undefined;
  for (const { atMs, state, lateSeconds, deliveries } of slots) {
    const what = state !== 'ran' ? state : deliveries > 1 ? 'duplicate' : null;
    const slot = new Date(atMs).toISOString();
    if (what === null) last = undefined;
    else if (last?.what === what) {
      last.to = slot;
      last.slots++;
      if (what === 'late') last.lateSeconds = Math.max(last.lateSeconds ?? 0, lateSeconds ?? 0);
    } else {
      last = {
        slot,
        to: slot,
        slots: 1,
        what,
        ...(what === 'late' && lateSeconds !== null && { lateSeconds }),
      };
      exceptions.push(last);
    }
  }
  const harmless = ({ what }: SlotException) => what === 'overlapped' || what === 'duplicate';
  const latestFirst = exceptions.reverse();
  const first = [...latestFirst].sort((a, b) => Number(harmless(a)) - Number(harmless(b)));
  const shown = new Set(first.slice(0, mostExceptions));
  return latestFirst.filter((one) => shown.has(one));
}

/** `hours`, and `queue` as in the registry, which it may be named as in paths. */
export const coverageQuery = z.strictObject({
  hours: wholeNumber(1, 48, 'is no whole number from 1 to 48').default(24),
  queue: z
    .string()
    .transform((asked, context): string => {
      const found = findQueue(asked, scheduledQueues);
      if (found) return found.queue.name;
      const names = scheduledQueues.map(({ queue }) => queue.name).join(', ');
      context.addIssue({ code: 'custom', message: `is no queue; there are ${names}` });
      return z.NEVER;
    })
    .optional(),
});
