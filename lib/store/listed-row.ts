import { z } from 'zod';
import { reconcileFacts } from './explanation';

/** A row as `list_rows` answers it. */
export const listedRowSchema = z.object({
  id: z.string(),
  /** The queue's own word for the state. */
  status: z.string(),
  due_at: z.string().nullable(),
  attempts: z.number(),
  last_error: z.string().nullable(),
  finished_at: z.string().nullable(),
  account: z.object({ id: z.string(), name: z.string() }).nullable(),
  reconcile: reconcileFacts.nullable(),
  /** The columns of its table, as they are, but those that are secret. */
  row: z.record(z.string(), z.unknown()),
});

export type ListedRow = z.infer<typeof listedRowSchema>;
