import { z } from 'zod';
import { tickCounts } from './tick-counts.ts';

/** Exact up to 10,000; beyond, an estimate from the planner's statistics. */
const count = z.object({ count: z.number(), approximate: z.boolean() });

const ledgerTick = z.object({
  id: z.string(),
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
  /** `running` while it is open; `died` if its limit passed before it was closed. */
  outcome: z.enum(['ran', 'idle', 'skipped', 'paused', 'running', 'died']),
  duplicate: z.boolean(),
  ...tickCounts.shape,
  /** The state of the rows that the call requested, from the API or by `?partition=failed`; null for a tick of all due rows. */
  asked_for: z.enum(['pending', 'dead']).nullable(),
  /** The tick's report; null while it runs, or if it died. */
  report: z.record(z.string(), z.unknown()).nullable(),
});

const queueStats = z.object({
  name: z.string(),
  delivery: z.enum(['at-most-once', 'at-least-once']),
  paused_at: z.string().nullable(),
  paused_reason: z.string().nullable(),
  /** Why its rows cannot be read, and what to do; null if they can. While there is a problem, the figures of its rows are empty. */
  problem: z.string().nullable(),
  /** Why each of its ticks gets a 503, and what to do; null if none does. Added by the server, because the database does not know. */
  failing: z.string().nullable().default(null),
  /** Says that rows are due and no tick comes, and what to do; null if ticks come or fail. Added by the server. */
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
  /** The queue's settings in the registry. */
  settings: z.object({
    /** The most rows of one tick; null is unlimited. */
    batch_limit: z.number().nullable(),
    concurrency: z.number(),
    adaptive: z.boolean(),
    budget_seconds: z.number().nullable(),
  }),
  /** Empty if the queue has no named partitions. */
  partitions: z.array(
    z.object({
      name: z.string(),
      /** Counted to 1,000. */
      due: z.number(),
      oldest_due_seconds: z.number().nullable(),
      /** 1 is a blocking partition. */
      max_running: z.number().nullable(),
      paused_at: z.string().nullable(),
      paused_reason: z.string().nullable(),
      last_tick_at: z.string().nullable(),
      /** Why no row may start now, if `max_running` is reached; otherwise null. */
      waiting: z.string().nullable(),
    }),
  ),
  due_now: count,
  /** How long the oldest due row has been due; null if none is due. */
  oldest_due_seconds: z.number().nullable(),
  /** Until the next pending row falls due; null if there is none. */
  next_due_seconds: z.number().nullable(),
  /** Accounts with due rows that may not send now, counted by reason: limit reached, paused, … */
  waiting: z.array(z.object({ reason: z.string(), accounts: z.number(), until: z.string().nullable() })),
  /** Providers' refusals that need a person, 50 at most. Null `account` and `name` mean that the provider refuses every call. */
  refused: z.array(
    z.object({
      provider: z.string(),
      account: z.string().nullable(),
      name: z.string().nullable(),
      said: z.string().nullable(),
      /** Null if the next tick with a row for it tries again. */
      until: z.string().nullable(),
    }),
  ),
  /** Rows that no tick can claim unless they change, by reason. */
  unreachable: z.array(z.object({ reason: z.string(), rows: z.number() })),
  /** Rows of the last 24 hours that were delivered twice or had an error beside their outcome. `row_id` and `text` are the latest row's. */
  noted: z.array(
    z.object({
      event: z.enum(['twice', 'error']),
      rows: z.number(),
      row_id: z.string().nullable(),
      text: z.string().nullable(),
    }),
  ),
  /** What `add_queue` added, changed and found in a table of your own, and who may access it now. Null for Punctual's own tables. */
  setup: z
    .object({
      table: z.string(),
      added: z.array(z.string()),
      changes: z.array(z.string()),
      notes: z.array(z.string()),
      row_level_security: z.boolean(),
      /** The rights of the role `anon`: select, insert, update, delete. */
      anon: z.array(z.string()),
    })
    .nullable(),
  /** Settled rows by minute over the last hour, oldest first. Minutes without any are left out. */
  throughput: z.array(
    z.object({
      minute: z.string(),
      done: z.number(),
      retried: z.number(),
      dead: z.number(),
      unknown: z.number(),
    }),
  ),
  /** The latest ticks, newest first. Idle and skipped ones are left out, except for the newest tick. */
  ticks: z.array(ledgerTick),
});

export const statsSchema = z.object({
  now: z.string(),
  /** The version of the database's schema. */
  schema: z.string().nullish(),
  queues: z.array(queueStats),
  /** Providers that are paused after failures. */
  providers: z.array(
    z.object({ name: z.string(), paused_until: z.string().nullable(), last_error: z.string().nullable() }),
  ),
});

export type Stats = z.infer<typeof statsSchema>;
export type QueueStats = Stats['queues'][number];
export type LedgerTick = QueueStats['ticks'][number];
