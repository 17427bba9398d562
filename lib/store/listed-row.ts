import { z } from 'zod';
import { reconcileFacts } from './explanation.ts';

/** A row as `list_rows` returns it. */
export const listedRowSchema = z.object({
  id: z.string(),
  status: z.string().describe("The queue's own word for the state."),
  due_at: z.string().nullable(),
  attempts: z.number(),
  last_error: z.string().nullable(),
  error_group: z
    .string()
    .nullish()
    .describe('The id of the group of its last error. Messages of pgmq have none.'),
  finished_at: z.string().nullable(),
  account: z.object({ id: z.string(), name: z.string() }).nullable(),
  reconcile: reconcileFacts.nullable(),
  row: z.record(z.string(), z.unknown()).describe('All columns of its table, except the secret ones.'),
});

export type ListedRow = z.infer<typeof listedRowSchema>;
