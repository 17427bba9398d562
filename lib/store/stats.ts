import { z } from 'zod';
import { tickOutcome } from './ticks.ts';

/** Exact up to 10,000; beyond, an estimate from the planner's statistics. */
const count = z.object({ count: z.number(), approximate: z.boolean() });

/** Outcomes of ticks that closed in the minute or hour that starts at `at`. */
const settled = z.object({
  at: z.string(),
  done: z.number(),
  retried: z.number(),
  dead: z.number(),
  unknown: z.number(),
});

const queueStats = z.object({
  name: z.string(),
  delivery: z.enum(['at-most-once', 'at-least-once']),
  paused_at: z.string().nullable().describe('Null unless it is paused now.'),
  paused_until: z.string().nullable().describe('Null if the pause lasts until somebody resumes.'),
  paused_reason: z.string().nullable(),
  problem: z
    .string()
    .nullable()
    .describe(
      'Why its rows cannot be read, and what to do; null if they can. While there is a problem, the figures of its rows are empty.',
    ),
  failing: z
    .string()
    .nullable()
    .default(null)
    .describe(
      'Why each of its ticks gets a 503, and what to do; null if none does. Added by the server, because the database does not know.',
    ),
  unticked: z
    .string()
    .nullable()
    .default(null)
    .describe(
      'Says that rows are due and no tick comes, and what to do; null if ticks come or fail. Added by the server.',
    ),
  words: z
    .object({
      pending: z.string(),
      running: z.string(),
      done: z.string(),
      dead: z.string(),
      unknown: z.string(),
      cancelled: z.string(),
    })
    .describe("The queue's own words for the six states."),
  states: z.object({
    pending: count,
    running: count,
    done: count,
    dead: count,
    unknown: count,
    cancelled: count,
  }),
  settings: z
    .object({
      batch_limit: z.number().nullable().describe('The most rows of one tick; null is unlimited.'),
      concurrency: z.number(),
      adaptive: z.boolean(),
      budget_seconds: z.number().nullable(),
    })
    .describe("The queue's settings in the registry."),
  partitions: z
    .array(
      z.object({
        name: z.string(),
        due: z.number().describe('Counted to 1,000.'),
        oldest_due_seconds: z.number().nullable(),
        max_running: z.number().nullable().describe('1 is a blocking partition.'),
        paused_at: z.string().nullable(),
        paused_until: z.string().nullable(),
        paused_reason: z.string().nullable(),
        last_tick_at: z.string().nullable(),
        waiting: z
          .string()
          .nullable()
          .describe('Why no row may start now, if `max_running` is reached; otherwise null.'),
      }),
    )
    .describe('Empty if the queue has no named partitions.'),
  due_now: count,
  oldest_due_seconds: z
    .number()
    .nullable()
    .describe('How long the oldest due row has been due; null if none is due.'),
  next_due_seconds: z
    .number()
    .nullable()
    .describe('Until the next pending row falls due; null if there is none.'),
  waiting: z
    .array(z.object({ reason: z.string(), accounts: z.number(), until: z.string().nullable() }))
    .describe('Accounts with due rows that may not send now, counted by reason: limit reached, paused, …'),
  refused: z
    .array(
      z.object({
        provider: z.string(),
        account: z.string().nullable(),
        name: z.string().nullable(),
        said: z.string().nullable(),
        until: z.string().nullable().describe('Null if the next tick with a row for it tries again.'),
      }),
    )
    .describe(
      "Providers' refusals that need a person, 50 at most. Null `account` and `name` mean that the provider refuses every call.",
    ),
  unreachable: z
    .array(z.object({ reason: z.string(), rows: z.number() }))
    .describe('Rows that no tick can claim unless they change, by reason.'),
  noted: z
    .array(
      z.object({
        event: z.enum(['twice', 'error']),
        rows: z.number(),
        row_id: z.string().nullable(),
        text: z.string().nullable(),
      }),
    )
    .describe(
      "Rows of the last 24 hours that were delivered twice or had an error beside their outcome. `row_id` and `text` are the latest row's.",
    ),
  setup: z
    .object({
      table: z.string(),
      added: z.array(z.string()),
      changes: z.array(z.string()),
      notes: z.array(z.string()),
      row_level_security: z.boolean(),
      anon: z.array(z.string()).describe('The rights of the role `anon`: select, insert, update, delete.'),
    })
    .nullable()
    .describe(
      "What `add_queue` added, changed and found in a table of your own, and who may access it now. Null for Punctual's own tables.",
    ),
  failed: z
    .object({
      rows: z.number(),
      first_at: z.string().nullish(),
      last_at: z.string().nullish(),
      text: z.string().nullish(),
    })
    .describe(
      'Rows that failed for good in the last 24 hours, counted to 10,000. `text` is the latest error.',
    ),
  undecided: z
    .object({ rows: z.number(), since: z.string().nullish() })
    .describe(
      'Unknown rows that wait for a person, counted to 10,000. `since` is when the first of them became unknown.',
    ),
  throughput: z
    .array(settled)
    .describe('Settled rows by minute over the last hour, oldest first. Minutes without any are left out.'),
  day: z
    .array(settled)
    .describe('Settled rows by hour over the last 24 hours, oldest first. Hours without any are left out.'),
  last_tick: z
    .object({
      id: z.string(),
      partition: z.string(),
      started_at: z.string(),
      closed_at: z.string().nullable(),
      outcome: tickOutcome,
      continuation: z.number(),
      duplicate: z.boolean(),
      fault: z.string().nullable().describe('The error with which its call ended.'),
    })
    .nullable()
    .describe('The newest tick, also if it was idle; null before the first one.'),
});

export const statsSchema = z.object({
  now: z.string(),
  schema: z.string().nullish().describe("The version of the database's schema."),
  queues: z.array(queueStats),
  paused_accounts: z
    .array(
      z.object({
        id: z.string(),
        name: z.string(),
        provider: z.string(),
        until: z.string().nullable(),
        reason: z.string().nullable(),
      }),
    )
    .describe(
      'Accounts that a person or a report of the provider paused, 50 at most. A null `until` is a pause without an end.',
    ),
  providers: z
    .array(
      z.object({ name: z.string(), paused_until: z.string().nullable(), last_error: z.string().nullable() }),
    )
    .describe('Providers that are paused after failures.'),
});

export type Stats = z.infer<typeof statsSchema>;
export type QueueStats = Stats['queues'][number];
export type Settled = z.infer<typeof settled>;
