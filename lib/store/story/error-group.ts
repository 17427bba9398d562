import { z } from 'zod';

const text = z.string().nullable();

/** Errors of a queue with the same text, apart from ids and numbers. */
export const errorGroupSchema = z.object({
  id: z.string(),
  /** The kind and the code of the first error. */
  kind: text,
  code: text,
  /** With `#` for what differs between its errors. */
  text: z.string(),
  /** The text of the latest of them; null if it is deleted. */
  example: text,
  /** `gone`: no event in the last 24 hours. */
  state: z.enum(['new', 'known', 'gone']),
  /** Rows that are dead with this error now. */
  rows_dead: z.number(),
  /** The queue has more than 10,000 dead rows, and only the latest were counted. */
  rows_dead_more: z.boolean(),
  /** Failed attempts, counted to 10,000. */
  events_24h: z.number(),
  /** Failed attempts in each of the last 24 hours, the oldest first. */
  hours: z.array(z.number()),
  /** Null in a queue without accounts. */
  accounts: z.number().nullable(),
  first_at: z.string(),
  last_at: z.string(),
  known_at: text,
  known_by: text,
  known_note: text,
});

export type ErrorGroup = z.infer<typeof errorGroupSchema>;

export const errorGroupWithSamplesSchema = errorGroupSchema.extend({
  /** The latest events of up to three rows. */
  samples: z.array(
    z.object({
      id: z.string(),
      at: z.string(),
      event: z.string(),
      account: z.object({ id: z.string(), name: z.string() }).nullable(),
      code: text,
      text,
      answer: text,
    }),
  ),
});

export type ErrorGroupWithSamples = z.infer<typeof errorGroupWithSamplesSchema>;
