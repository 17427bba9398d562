import { z } from 'zod';

/** A delivered slot. */
const slot = z
  .tuple([z.number(), z.number(), z.number(), z.boolean()])
  .transform(([seconds, lateSeconds, deliveries, ran]) => ({
    /** In milliseconds since 1970. */
    atMs: seconds * 1_000,
    /** The delay of the first delivery. */
    lateSeconds,
    /** Calls that named the slot. */
    deliveries,
    /** False if each of them found another tick running. */
    ran,
  }));

/** The slots that one scheduler delivered to one path by one schedule. */
const slotEntry = z.object({
  scheduler: z.string(),
  path: z.string(),
  /** A cron expression in UTC, with five fields, or six with the seconds first. */
  schedule: z.string(),
  queues: z.array(z.string()),
  /** The first and the last delivered slot of the last 49 hours. */
  first_slot: z.string(),
  last_slot: z.string(),
  /** Delivered slots within `p_hours`, ascending. */
  slots: z.array(slot),
});

/** The response of `read_slots`. */
export const slotEntriesSchema = z.array(slotEntry);

export type SlotEntry = z.infer<typeof slotEntry>;
