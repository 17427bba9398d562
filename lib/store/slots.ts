import { z } from 'zod';

/** One slot as it was delivered, which may have been more than once. */
const slot = z
  .tuple([z.number(), z.number(), z.number(), z.boolean()])
  .transform(([seconds, lateSeconds, deliveries, ran]) => ({
    /** In milliseconds since 1970. */
    atMs: seconds * 1_000,
    /** Of the first delivery. */
    lateSeconds,
    /** Calls that named it. */
    deliveries,
    /** False: each of them found another tick running. */
    ran,
  }));

/** What one scheduler delivered to one path by one schedule. */
const slotEntry = z.object({
  scheduler: z.string(),
  path: z.string(),
  /** A cron expression in UTC, of five fields, or of six with the seconds first. */
  schedule: z.string(),
  queues: z.array(z.string()),
  /** The first that was delivered in the last 49 hours, and the last. */
  first_slot: z.string(),
  last_slot: z.string(),
  /** Those of the hours that were asked for, ascending. */
  slots: z.array(slot),
});

/** What `read_slots` answers. */
export const slotEntriesSchema = z.array(slotEntry);

export type SlotEntry = z.infer<typeof slotEntry>;
