import { z } from 'zod';
import { reconcileFacts } from './explanation.ts';

/** A row as `list_rows` returns it. */
export const listedRowSchema = z.object({
  id: z.string(),
  /** The queue's own word for the state. */
  status: z.string(),
  due_at: z.string().nullable(),
  attempts: z.number(),
  last_error: z.string().nullable(),
  /** The id of the group of its last error. Messages of pgmq have none. */
  error_group: z.string().nullish(),
  finished_at: z.string().nullable(),
  account: z.object({ id: z.string(), name: z.string() }).nullable(),
  reconcile: reconcileFacts.nullable(),
  /** All columns of its table, except the secret ones. */
  row: z.record(z.string(), z.unknown()),
});

export type ListedRow = z.infer<typeof listedRowSchema>;
