import { z } from 'zod';

/** What was found at the provider of an attempt that may or may not have worked. */
export const reconcileFacts = z.object({
  checks: z.number(),
  checked_at: z.string().nullable(),
  /** Null: no look is planned. */
  next_check_at: z.string().nullable(),
  /** In words; null before the first look. */
  found: z.string().nullable(),
  waits_for_operator: z.boolean(),
});

export const explanationSchema = z.object({
  queue: z.string(),
  id: z.string(),
  /** The queue's own word for the state. */
  status: z.string(),
  state: z.enum(['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']),
  due_at: z.string().nullable(),
  attempts: z.number(),
  max_attempts: z.number(),
  last_error: z.string().nullable(),
  finished_at: z.string().nullable(),
  /** All that stands in the way now. `until` is null where no time will end it. */
  waits: z.array(z.object({ kind: z.string(), until: z.string().nullable(), text: z.string() })),
  /** Rows that go first, counted to 1,000, with the first ids; null where that says nothing. */
  ahead: z.object({ count: z.number(), ids: z.array(z.string()) }).nullable(),
  /** A forecast, if all goes well; null where there can be none. */
  expected_at: z.string().nullable(),
  /** The tick that is at it. */
  tick: z
    .object({ id: z.string(), scheduler: z.string(), started_at: z.string(), deadline_at: z.string() })
    .nullable(),
  lease_expires_at: z.string().nullable(),
  reconcile: reconcileFacts.nullable(),
  /** Oldest first. */
  history: z.array(z.object({ at: z.string(), event: z.string(), text: z.string().nullable() })),
});

export type Explanation = z.infer<typeof explanationSchema>;
export type ReconcileFacts = z.infer<typeof reconcileFacts>;
