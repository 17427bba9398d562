import { z } from 'zod';
import { wholeNumber } from '../../http/query.ts';
import { findQueue } from '../../queues/find-queue.ts';
import { registeredApp } from '../../queues/registered-app.ts';
import { type SharedReading, sharedReading } from '../../services/shared-reading.ts';
import type { Rpc } from '../../store/rpc.ts';
import { type SlotEntry, slotEntriesSchema } from '../../store/slots.ts';
import { scheduleInstants, secondInstantAfter } from './schedule-instants.ts';
import { type AccountedSlot, accountOfSlots } from './slot-account.ts';

const slotException = z.object({
  slot: z.string().describe('The first slot.'),
  to: z.string().describe('The last slot.'),
  slots: z.number(),
  what: z
    .enum(['late', 'overlapped', 'missed', 'duplicate'])
    .describe('`duplicate`: the slot ran and was delivered more than once.'),
  lateSeconds: z.number().optional().describe('The longest delay of the late slots.'),
});

export type SlotException = z.infer<typeof slotException>;

/** How many slots of one path and schedule a scheduler delivered, and how. */
const scheduleCoverage = z.object({
  scheduler: z.string(),
  path: z.string(),
  schedule: z.string(),
  queues: z.array(z.string()),
  since: z.string().describe('The start of the time in which slots are expected, ISO 8601.'),
  until: z
    .string()
    .nullable()
    .describe(
      'The end of that time: from then on another schedule of the same scheduler and path applies. Null if there is none.',
    ),
  lastSlot: z.string().describe('The latest slot that was delivered. It may be older than the window.'),
  silent: z
    .boolean()
    .describe(
      'Two of its slots have passed since without a delivery, and no other schedule calls the path either.',
    ),
  guessed: z
    .boolean()
    .describe(
      'True for Vercel, which names no slot. Its slot is the latest one before the call, so a late call counts for the next slot.',
    ),
  expected: z.number().describe('The sum of `ran`, `late`, `overlapped` and `missed`.'),
  ran: z.number(),
  late: z.number(),
  overlapped: z.number(),
  missed: z.number(),
  duplicate: z
    .number()
    .describe('Expected slots that were delivered more than once. Each also counts in one of the four.'),
  offGrid: z.number().describe('Delivered slots that the schedule does not name. They are not expected.'),
  exceptions: z
    .array(slotException)
    .describe(
      'The latest first, one entry for consecutive slots of the same kind. At most 20; missed and late ones are kept first.',
    ),
});

export type ScheduleCoverage = z.infer<typeof scheduleCoverage>;

export const coverageSchema = z.object({
  now: z.string(),
  hours: z.number(),
  schedulers: z.array(scheduleCoverage),
});

export type Coverage = z.infer<typeof coverageSchema>;

const maxExceptions = 20;
/** A call may be that late before its slot counts as passed. */
const silentAfterMs = 30_000;
/** How long a reading is shared, because each scans two days of the ledger. */
const cacheMs = 10_000;
const readings = new Map<number, SharedReading<Coverage>>();

/** Returns the coverage of each scheduler that names its schedule, for the last `hours` (1 to 48). Throws a `StoreError`. */
export function readCoverage(rpc: Rpc, hours: number): Promise<Coverage> {
  const reading = readings.get(hours) ?? sharedReading<Coverage>(cacheMs, () => Date.now());
  readings.set(hours, reading);
  return reading.get(() => queryCoverage(rpc, hours));
}

async function queryCoverage(rpc: Rpc, hours: number): Promise<Coverage> {
  // One hour more, because the database's clock may differ from ours.
  const entries = slotEntriesSchema.parse(await rpc('read_slots', { p_hours: hours + 1 }));
  const nowMs = Date.now();
  return { now: new Date(nowMs).toISOString(), hours, schedulers: coverageOf(entries, nowMs, hours) };
}

/** Returns the coverage of each entry, in the same order. Entries that were superseded before the window are left out. */
export function coverageOf(entries: SlotEntry[], nowMs: number, hours: number): ScheduleCoverage[] {
  const windowStartMs = nowMs - hours * 3_600_000;
  // Many entries share a schedule, and all share the window.
  const cache = new Map<string, number[]>();
  const instantsOf: typeof scheduleInstants = (schedule, fromMs, toMs) => {
    const instants = cache.get(schedule) ?? scheduleInstants(schedule, fromMs, toMs);
    cache.set(schedule, instants);
    return instants;
  };
  const isSilent = (entry: SlotEntry): boolean => {
    const second = secondInstantAfter(entry.schedule, Date.parse(entry.last_slot));
    return second !== null && second + silentAfterMs <= nowMs;
  };
  const called = new Set(entries.filter((entry) => !isSilent(entry)).map(({ path }) => path));
  return entries.flatMap((entry) => {
    const untilMs = supersededAt(entry, entries);
    if (untilMs !== undefined && untilMs <= windowStartMs) return [];
    const { scheduler, path, schedule, queues } = entry;
    const { sinceMs, slots, offGrid } = accountOfSlots(entry, nowMs, windowStartMs, { untilMs, instantsOf });
    const count = (wanted: AccountedSlot['state']) => slots.filter(({ state }) => state === wanted).length;
    return {
      scheduler,
      path,
      schedule,
      queues,
      since: new Date(sinceMs).toISOString(),
      until: untilMs === undefined ? null : new Date(untilMs).toISOString(),
      lastSlot: new Date(entry.last_slot).toISOString(),
      silent: untilMs === undefined && !called.has(path),
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

/** Returns when another schedule of the same scheduler and path replaced this one, in milliseconds; undefined if none did. */
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
  const isHarmless = ({ what }: SlotException) => what === 'overlapped' || what === 'duplicate';
  const latestFirst = exceptions.reverse();
  const worstFirst = [...latestFirst].sort((a, b) => Number(isHarmless(a)) - Number(isHarmless(b)));
  const shown = new Set(worstFirst.slice(0, maxExceptions));
  return latestFirst.filter((one) => shown.has(one));
}

/** The query of `/api/schedulers`. `queue` is a name as in the registry or as in paths, and is parsed to the registry's. */
export const coverageQuery = z.strictObject({
  hours: wholeNumber(1, 48, 'must be a whole number from 1 to 48')
    .default(24)
    .describe('1 to 48; default 24.'),
  queue: z
    .string()
    .transform((name, context): string => {
      const { queues } = registeredApp();
      const found = findQueue(name, queues);
      if (found) return found.name;
      const names = queues.map((queue) => queue.name).join(', ');
      context.addIssue({ code: 'custom', message: `is not a queue. The queues are ${names}` });
      return z.NEVER;
    })
    .optional()
    .describe('Only schedulers of this queue.'),
});
