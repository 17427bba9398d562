import { z } from 'zod';

const text = z.string().nullable();

/** Errors of a queue with the same text, apart from ids and numbers. */
export const errorGroupSchema = z.object({
  id: z.string(),
  kind: text.describe('The kind and the code of the first error.'),
  code: text,
  text: z.string().describe('With `#` for what differs between its errors.'),
  example: text.describe('The text of the latest of them; null if it is deleted.'),
  state: z.enum(['new', 'known', 'gone']).describe('`gone`: no event in the last 24 hours.'),
  rows_dead: z.number().describe('Rows that are dead with this error now.'),
  rows_dead_more: z
    .boolean()
    .describe('The queue has more than 10,000 dead rows, and only the latest were counted.'),
  events_24h: z.number().describe('Failed attempts, counted to 10,000.'),
  hours: z.array(z.number()).describe('Failed attempts in each of the last 24 hours, the oldest first.'),
  accounts: z.number().nullable().describe('Null in a queue without accounts.'),
  first_at: z.string(),
  last_at: z.string(),
  known_at: text,
  known_by: text,
  known_note: text,
});

export type ErrorGroup = z.infer<typeof errorGroupSchema>;

export const errorGroupWithSamplesSchema = errorGroupSchema.extend({
  samples: z
    .array(
      z.object({
        id: z.string(),
        at: z.string(),
        event: z.string(),
        account: z.object({ id: z.string(), name: z.string() }).nullable(),
        code: text,
        text,
        answer: text,
      }),
    )
    .describe('The latest events of up to three rows.'),
});

export type ErrorGroupWithSamples = z.infer<typeof errorGroupWithSamplesSchema>;
