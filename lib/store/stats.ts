import { z } from 'zod';
import { tickCounts } from './tick-counts';

/** A count that is exact up to 10,000 and an estimate of the planner's statistics beyond. */
const count = z.object({ count: z.number(), approximate: z.boolean() });

const ledgerTick = z.object({
  id: z.string(),
  partition: z.string(),
  scheduler: z.string(),
  /** The endpoint that was called, and its schedule (a cron expression, UTC), where they are known. */
  path: z.string().nullable(),
  schedule: z.string().nullable(),
  slot: z.string().nullable(),
  /** 0 for what the scheduler asked for; ticks that went on where it ended have the next numbers, and its run id. */
  continuation: z.number(),
  run_id: z.string(),
  started_at: z.string(),
  closed_at: z.string().nullable(),
  /** `running` while it is open, `died` when it was never closed before its limit. */
  outcome: z.enum(['ran', 'idle', 'skipped', 'paused', 'running', 'died']),
  duplicate: z.boolean(),
  ...tickCounts.shape,
  /** Somebody asked for rows of this state; null where a scheduler called. */
  asked_for: z.enum(['pending', 'dead']).nullable(),
  /** The tick's report; null while it runs, and when it died. */
  report: z.record(z.string(), z.unknown()).nullable(),
});

const queueStats = z.object({
  name: z.string(),
  delivery: z.enum(['at-most-once', 'at-least-once']),
  paused_at: z.string().nullable(),
  paused_reason: z.string().nullable(),
  /** Why its rows cannot be read, and what to do. The figures of its rows are empty then. */
  problem: z.string().nullable(),
  /** Why each of its ticks is answered by 503, and what to do; null where none is. The server adds it: the database does not know. */
  failing: z.string().nullable().default(null),
  /** That rows are due and no tick comes, and what to do; null where ticks come or fail. The server adds it. */
  unticked: z.string().nullable().default(null),
  /** The queue's own words for the six states. */
  words: z.object({
    pending: z.string(),
    running: z.string(),
    done: z.string(),
    dead: z.string(),
    unknown: z.string(),
    cancelled: z.string(),
  }),
  states: z.object({
    pending: count,
    running: count,
    done: count,
    dead: count,
    unknown: count,
    cancelled: count,
  }),
  /** The registry's, as the queue has them. */
  settings: z.object({
    /** The most rows of one tick; null is unlimited. */
    batch_limit: z.number().nullable(),
    concurrency: z.number(),
    adaptive: z.boolean(),
    budget_seconds: z.number().nullable(),
  }),
  /** Its named parts; none of a queue that has only one. */
  partitions: z.array(
    z.object({
      name: z.string(),
      /** Counted to 1,000. */
      due: z.number(),
      oldest_due_seconds: z.number().nullable(),
      /** 1: blocking. */
      max_running: z.number().nullable(),
      paused_at: z.string().nullable(),
      paused_reason: z.string().nullable(),
      last_tick_at: z.string().nullable(),
      /** Why none of its rows may start just now, where it lets only so many run. */
      waiting: z.string().nullable(),
    }),
  ),
  due_now: count,
  /** Age of the oldest pending row that is due; null when none is. */
  oldest_due_seconds: z.number().nullable(),
  /** Until the next pending row falls due; null when none waits. */
  next_due_seconds: z.number().nullable(),
  /** Due rows of accounts that may not send now, by reason (cap reached, paused, …): how many accounts wait. */
  waiting: z.array(z.object({ reason: z.string(), accounts: z.number(), until: z.string().nullable() })),
  /** What providers refuse, and only a person can mend; null `account` and `name`: everything that is asked of this one. 50 at most. */
  refused: z.array(
    z.object({
      provider: z.string(),
      account: z.string().nullable(),
      name: z.string().nullable(),
      said: z.string().nullable(),
      /** Null: it is tried again with the next tick that has a row for it. */
      until: z.string().nullable(),
    }),
  ),
  /** Rows that no tick can ever reach as they stand, by reason. */
  unreachable: z.array(z.object({ reason: z.string(), rows: z.number() })),
  /** What befell rows in the last 24 hours: delivered twice, or something of them could not be done. `row_id` and `text` of the latest. */
  noted: z.array(
    z.object({
      event: z.enum(['twice', 'error']),
      rows: z.number(),
      row_id: z.string().nullable(),
      text: z.string().nullable(),
    }),
  ),
  /** What `add_queue` did to a table of your own and found there; who may reach it now. Null for Punctual's own tables. */
  setup: z
    .object({
      table: z.string(),
      added: z.array(z.string()),
      changes: z.array(z.string()),
      notes: z.array(z.string()),
      row_level_security: z.boolean(),
      /** What the role `anon` may do: select, insert, update, delete. */
      anon: z.array(z.string()),
    })
    .nullable(),
  /** Settled by minute over the last hour, oldest first; minutes without any are left out. */
  throughput: z.array(
    z.object({
      minute: z.string(),
      done: z.number(),
      retried: z.number(),
      dead: z.number(),
      unknown: z.number(),
    }),
  ),
  /** The last ticks, newest first. Idle and skipped ones are left out, except for the newest tick. */
  ticks: z.array(ledgerTick),
});

export const statsSchema = z.object({
  now: z.string(),
  /** The version of the database's schema. */
  schema: z.string().nullish(),
  queues: z.array(queueStats),
  /** Providers that wait after failing as a whole. */
  providers: z.array(
    z.object({ name: z.string(), paused_until: z.string().nullable(), last_error: z.string().nullable() }),
  ),
});

export type Stats = z.infer<typeof statsSchema>;
export type QueueStats = Stats['queues'][number];
export type LedgerTick = QueueStats['ticks'][number];
