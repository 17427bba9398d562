import { z } from 'zod';

/** The ledger's counts of a tick. */
export const tickCounts = z.object({
  claimed: z.number(),
  done: z.number(),
  retried: z.number(),
  again: z.number(),
  dead: z.number(),
  unknown: z.number(),
  released: z.number(),
  lost: z.number(),
  swept: z.number(),
});

/** `running` while it is open; `died` if its limit passed before it was closed. */
export const tickOutcome = z.enum(['ran', 'idle', 'skipped', 'paused', 'running', 'died']);

/** A tick as `list_ticks` and `read_tick` return it. */
export const ledgerTickSchema = z.object({
  id: z.string(),
  queue: z.string(),
  partition: z.string(),
  scheduler: z.string(),
  /** The endpoint's path and the scheduler's cron expression in UTC; null if unknown. */
  path: z.string().nullable(),
  schedule: z.string().nullable(),
  slot: z.string().nullable(),
  /** 0 for the scheduler's own call; one more for each continuation, which keeps the run id. */
  continuation: z.number(),
  run_id: z.string(),
  started_at: z.string(),
  closed_at: z.string().nullable(),
  /** Its limit. */
  deadline_at: z.string(),
  outcome: tickOutcome,
  duplicate: z.boolean(),
  ...tickCounts.shape,
  /** The state of the rows that the call requested, from the API or by `?partition=failed`; null for a tick of all due rows. */
  asked_for: z.enum(['pending', 'dead']).nullable(),
  /** The tick's report; null while it runs, or if it died. A list has only its parts `ended`, `usedMs`, `budgetMs`, `lock`, `performMs` and `fault`. */
  report: z.record(z.string(), z.unknown()).nullable(),
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
