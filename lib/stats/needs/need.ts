import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Something that waits for a person, or that a person should know. */
export const needSchema = z.object({
  key: z
    .string()
    .describe(
      'The same as long as it is about the same thing: `dm_queue.error.6fa1c0de`. Lower-case letters, digits, `_`, `-` and dots.',
    ),
  tone: z
    .enum(['bad', 'warn', 'wait'])
    .describe('`bad` lasts until somebody corrects it. `warn` waits for a decision. `wait` ends by itself.'),
  queue: z.string().nullable().describe('The queue that it is about; null if it is about none.'),
  text: z.string().describe('What it is and how many.'),
  detail: z.string().nullish().describe('Why, in the words of the database or a provider.'),
  since: z.string().nullish(),
  until: z.string().nullish().describe('When it ends by itself.'),
  count: z.number().describe('How many rows, monitors or accounts it counts.'),
  parts: z
    .array(z.string())
    .describe('Which errors, incidents or pauses it is about, if these can change while the key stays.'),
  href: z.string().describe("The dashboard's page that shows more."),
  act: z.string().describe('The words of the link to it.'),
  page: z.string().describe('The entry of the rail that is marked: a path of a page.'),
});

export type Need = z.infer<typeof needSchema>;

/** Returns eight hexadecimal digits for a text, as a part of a key. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
