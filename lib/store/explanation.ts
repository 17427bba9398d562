import { z } from 'zod';

/** The checks of a row whose attempt may or may not have had its effect. */
export const reconcileFacts = z.object({
  checks: z.number(),
  checked_at: z.string().nullable(),
  next_check_at: z.string().nullable().describe('Null if no check is planned.'),
  found: z.string().nullable().describe('The finding in words; null before the first check.'),
  waits_for_operator: z.boolean(),
});

export const explanationSchema = z.object({
  queue: z.string(),
  id: z.string(),
  status: z.string().describe("The queue's own word for the state."),
  state: z.enum(['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']),
  due_at: z.string().nullable(),
  attempts: z.number(),
  max_attempts: z.number(),
  last_error: z.string().nullable(),
  finished_at: z.string().nullable(),
  waits: z
    .array(z.object({ kind: z.string(), until: z.string().nullable(), text: z.string() }))
    .describe('Everything that holds the row now. `until` is null if no point in time ends it.'),
  ahead: z
    .object({ count: z.number(), ids: z.array(z.string()) })
    .nullable()
    .describe(
      "The account's rows that are claimed before this one, counted to 1,000, with the first ten ids. Null without an account, or if not pending.",
    ),
  expected_at: z
    .string()
    .nullable()
    .describe('When the row is expected to start if nothing fails; null if that cannot be said.'),
  tick: z
    .object({ id: z.string(), scheduler: z.string(), started_at: z.string(), deadline_at: z.string() })
    .nullable()
    .describe('The tick that runs the row.'),
  lease_expires_at: z.string().nullable(),
  reconcile: reconcileFacts.nullable(),
  history: z
    .array(z.object({ at: z.string(), event: z.string(), text: z.string().nullable() }))
    .describe('Oldest first.'),
});

export type Explanation = z.infer<typeof explanationSchema>;
