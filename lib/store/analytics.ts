import { z } from 'zod';

/** The state of the counted rows, or the verdict of the counted checks for monitors. */
const outcome = z.enum(['done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down']);

const figures = z.object({
  /** A day in `time_zone`, as YYYY-MM-DD. */
  day: z.string(),
  /** The day was not over when it was rolled up. */
  partial: z.boolean(),
  queue: z.string(),
  outcome,
  rows: z.number(),
  /** From due to settled; for monitors, the duration of a check. Null if nothing was measured, as for pgmq's messages. */
  p50_seconds: z.number().nullable(),
  p95_seconds: z.number().nullable(),
  p99_seconds: z.number().nullable(),
});

export const analyticsSchema = z.object({
  time_zone: z.string(),
  /** All days before this one are complete in every queue; null while a queue was never rolled up. */
  rolled_until: z.string().nullable(),
  /** The time of the latest roll-up; null if there was none. */
  rolled_at: z.string().nullable(),
  /** Queues whose latest roll-up failed, and why. */
  problems: z.array(z.object({ queue: z.string(), problem: z.string() })),
  /** By day, queue and outcome, over all accounts, the newest day first. */
  totals: z.array(figures),
  /**
   * The totals by account, in queues with accounts: the eight accounts with the most rows in each queue. One entry with `others` true and no
   * percentiles has the rest. Where `others` is false, `account_id` is null for rows without an account. `account` is null for a deleted account.
   */
  days: z.array(
    figures.extend({
      account_id: z.string().nullable(),
      account: z.string().nullable(),
      others: z.boolean(),
    }),
  ),
  /** The days of the 60 worst monitors, the worst monitor first, then the newest day first. */
  monitors: z.array(
    z.object({
      day: z.string(),
      partial: z.boolean(),
      monitor_id: z.string(),
      monitor: z.string(),
      /** Counted checks only. */
      checks: z.number(),
      up: z.number(),
      degraded: z.number(),
      down: z.number(),
      /** The share of counted checks that were up or degraded, 0 to 1. */
      uptime: z.number(),
      p50_ms: z.number().nullable(),
      p95_ms: z.number().nullable(),
      p99_ms: z.number().nullable(),
    }),
  ),
});

export type Analytics = z.infer<typeof analyticsSchema>;
