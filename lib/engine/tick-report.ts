import { z } from 'zod';

/** The ledger's counts of a tick's rows. */
export const tickCounts = z.object({
  claimed: z.number(),
  done: z.number(),
  retried: z.number(),
  again: z.number().describe('Rescheduled.'),
  dead: z.number(),
  unknown: z.number(),
  released: z.number().describe('Returned unstarted.'),
  lost: z
    .number()
    .describe('Outcomes that came too late: another claim had the row, or a sweep had made it pending.'),
  swept: z.number().describe('Rows recovered from ticks that died.'),
});

export type TickCounts = z.infer<typeof tickCounts>;

export const checksSchema = z.object({ checked: z.number(), resolved: z.number() });

/** Unknown rows that were checked, and those of them that were resolved. */
export type Checks = z.infer<typeof checksSchema>;

/** What one tick did: the response of its cron endpoint, a log line, and a row of the ledger. */
export const tickReport = z.object({
  queue: z.string(),
  partition: z.string(),
  tick: z.string(),
  scheduler: z.string().describe('`vercel`, `worker`, `local`, `http`, …'),
  slot: z.string().nullable().describe('The slot that the tick answers, ISO 8601; null if unknown.'),
  continuation: z.number().describe("0 for the scheduler's own call; each continuation has the next number."),
  runId: z.string().describe('Shared by the ticks of a call and their continuations.'),
  outcome: z.enum(['ran', 'idle', 'skipped', 'paused']),
  ended: z
    .enum(['drained', 'budget', 'batch limit', 'breaker', 'paused', 'stopped'])
    .nullable()
    .describe('Why it ended; null if it was skipped.'),
  counts: tickCounts,
  budgetMs: z.number(),
  batchLimit: z
    .number()
    .nullable()
    .describe(
      'Like `concurrency` and `maxContinuations`, the setting in force at the end; null if no exchange succeeded. A batch limit of null is none.',
    ),
  concurrency: z.number().nullable(),
  maxContinuations: z.number().nullable(),
  usedMs: z.number(),
  lock: z.enum(['acquired', 'held', 'unavailable', 'none']),
  backlogDue: z
    .number()
    .nullable()
    .describe('Due rows of the partition at the end, counted to 1,000; null if not counted.'),
  nextDueInMs: z
    .number()
    .nullable()
    .describe('Milliseconds until the next row falls due; null if none is pending.'),
  performMs: z.object({ p50: z.number().nullable(), p95: z.number().nullable() }),
  exchanges: z.number().describe('Calls to the database.'),
  duplicate: z.boolean().describe('The slot had been delivered before.'),
  checks: checksSchema.optional().describe('Checks of unknown rows after the tick; absent if none were due.'),
  fault: z.string().optional().describe('In the ledger only: the error with which the call ended.'),
});

export type TickReport = z.infer<typeof tickReport>;

export const noCounts: Readonly<TickCounts> = {
  claimed: 0,
  done: 0,
  retried: 0,
  again: 0,
  dead: 0,
  unknown: 0,
  released: 0,
  lost: 0,
  swept: 0,
};
