import { z } from 'zod';

/**
 * What rows came to: the states' own names for a queue of work, verdicts for monitors. Percentiles are null where nothing was measured,
 * which is so for messages of pgmq.
 */
const outcome = z.enum(['done', 'dead', 'unknown', 'cancelled', 'up', 'degraded', 'down']);

const figures = z.object({
  /** A day of `time_zone`, as YYYY-MM-DD. */
  day: z.string(),
  /** Not rolled up whole: the day was not over then. */
  partial: z.boolean(),
  queue: z.string(),
  outcome,
  rows: z.number(),
  /** From due to settled; of monitors, how long a check took. */
  p50_seconds: z.number().nullable(),
  p95_seconds: z.number().nullable(),
  p99_seconds: z.number().nullable(),
});

export const analyticsSchema = z.object({
  time_zone: z.string(),
  /** Every queue's days before this one are rolled up whole; null while one of them never was. */
  rolled_until: z.string().nullable(),
  /** When it was last rolled up; null: never. */
  rolled_at: z.string().nullable(),
  /** Queues whose roll-up failed last time, and why. */
  problems: z.array(z.object({ queue: z.string(), problem: z.string() })),
  /** By day, queue and outcome, over all accounts: the newest day first. */
  totals: z.array(figures),
  /**
   * The same by account, in queues that have accounts: those with the most rows, eight a queue. The rest is one entry with `others` true
   * and no percentiles. `account_id` null otherwise: rows of no account. `account` null: it was deleted.
   */
  days: z.array(
    figures.extend({
      account_id: z.string().nullable(),
      account: z.string().nullable(),
      others: z.boolean(),
    }),
  ),
  /** Each day of the monitors that did worst, sixty at most: the worst first, and of each the newest day first. */
  monitors: z.array(
    z.object({
      day: z.string(),
      partial: z.boolean(),
      monitor_id: z.string(),
      monitor: z.string(),
      /** Those that counted. */
      checks: z.number(),
      up: z.number(),
      degraded: z.number(),
      down: z.number(),
      /** 0 to 1: up or degraded, of all that counted. */
      uptime: z.number(),
      p50_ms: z.number().nullable(),
      p95_ms: z.number().nullable(),
      p99_ms: z.number().nullable(),
    }),
  ),
});

export type Analytics = z.infer<typeof analyticsSchema>;
