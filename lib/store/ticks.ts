import { z } from 'zod';
import { tickCounts } from '../engine/tick-report.ts';

/** `running` while it is open; `died` if its limit passed before it was closed. */
export const tickOutcome = z.enum(['ran', 'idle', 'skipped', 'paused', 'running', 'died']);

/** A tick as `list_ticks` and `read_tick` return it. */
export const ledgerTickSchema = z.object({
  id: z.string(),
  queue: z.string(),
  partition: z.string(),
  scheduler: z.string(),
  path: z
    .string()
    .nullable()
    .describe("The endpoint's path and the scheduler's cron expression in UTC; null if unknown."),
  schedule: z.string().nullable(),
  slot: z.string().nullable(),
  continuation: z
    .number()
    .describe("0 for the scheduler's own call; one more for each continuation, which keeps the run id."),
  run_id: z.string(),
  started_at: z.string(),
  closed_at: z.string().nullable(),
  deadline_at: z.string().describe('Its limit.'),
  outcome: tickOutcome,
  duplicate: z.boolean(),
  ...tickCounts.shape,
  asked_for: z
    .enum(['pending', 'dead'])
    .nullable()
    .describe(
      'The state of the rows that the call requested, from the API or by `?partition=failed`; null for a tick of all due rows.',
    ),
  report: z
    .record(z.string(), z.unknown())
    .nullable()
    .describe(
      "The tick's report; null while it runs, or if it died. A list has only its parts `ended`, `usedMs`, `budgetMs`, `lock`, `performMs` and `fault`.",
    ),
});

/** A tick, and the ticks of its run in order: the scheduler's own call and its continuations. */
export const tickInFullSchema = z.object({
  tick: ledgerTickSchema,
  run: z.array(
    z.object({
      id: z.string(),
      queue: z.string(),
      partition: z.string(),
      continuation: z.number(),
      started_at: z.string(),
    }),
  ),
});

export type LedgerTick = z.infer<typeof ledgerTickSchema>;
export type TickInFull = z.infer<typeof tickInFullSchema>;
