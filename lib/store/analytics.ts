import { z } from 'zod';

/** The state of the counted rows, or the verdict of the counted checks for monitors. */
const outcome = z.enum(['done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down']);

const figures = z.object({
  day: z.string().describe('A day in `time_zone`, as YYYY-MM-DD.'),
  partial: z.boolean().describe('The day was not over when it was rolled up.'),
  queue: z.string(),
  outcome,
  rows: z.number(),
  p50_seconds: z
    .number()
    .nullable()
    .describe(
      "From due to settled; for monitors, the duration of a check. Null if nothing was measured, as for pgmq's messages.",
    ),
  p95_seconds: z.number().nullable(),
  p99_seconds: z.number().nullable(),
});

export const analyticsSchema = z.object({
  time_zone: z.string(),
  rolled_until: z
    .string()
    .nullable()
    .describe(
      'All days before this one are complete in every queue; null while a queue was never rolled up.',
    ),
  rolled_at: z.string().nullable().describe('The time of the latest roll-up; null if there was none.'),
  problems: z
    .array(z.object({ queue: z.string(), problem: z.string() }))
    .describe('Queues whose latest roll-up failed, and why.'),
  totals: z.array(figures).describe('By day, queue and outcome, over all accounts, the newest day first.'),
  days: z
    .array(
      figures.extend({
        account_id: z.string().nullable(),
        account: z.string().nullable(),
        others: z.boolean(),
      }),
    )
    .describe(
      '* The totals by account, in queues with accounts: the eight accounts with the most rows in each queue. One entry with `others` true and no percentiles has the rest. Where `others` is false, `account_id` is null for rows without an account. `account` is null for a deleted account.',
    ),
  monitors: z
    .array(
      z.object({
        day: z.string(),
        partial: z.boolean(),
        monitor_id: z.string(),
        monitor: z.string(),
        checks: z.number().describe('Counted checks only.'),
        up: z.number(),
        degraded: z.number(),
        down: z.number(),
        uptime: z.number().describe('The share of counted checks that were up or degraded, 0 to 1.'),
        p50_ms: z.number().nullable(),
        p95_ms: z.number().nullable(),
        p99_ms: z.number().nullable(),
      }),
    )
    .describe('The days of the 60 worst monitors, the worst monitor first, then the newest day first.'),
});

export type Analytics = z.infer<typeof analyticsSchema>;
