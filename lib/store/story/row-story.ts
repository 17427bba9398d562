import { z } from 'zod';
import { explanationSchema, reconcileFacts } from '../explanation.ts';

const text = z.string().nullable();

const attemptSchema = z.object({
  claim_id: text,
  tick: z
    .object({ id: z.string(), scheduler: z.string(), started_at: z.string() })
    .nullable()
    .describe('Null once the ledger has deleted the tick.'),
  claimed_at: text.describe('Null for an attempt of before these columns existed.'),
  ended_at: text.describe('Null while it runs.'),
  duration_ms: z.number().nullable().describe('How long the handler ran; null if that is not known.'),
  outcome: z.enum(['done', 'retry', 'dead', 'unknown', 'swept', 'running']),
  kind: text.describe(
    "The error's kind, or `timeout`, `cut`, `thrown`, `returned`, `unreadable`; null if it did not fail.",
  ),
  code: text.describe("The provider's code, or the HTTP status."),
  text,
  answer: text.describe(
    "The beginning of the provider's answer, without secrets and without the message's text.",
  ),
  proof: text.describe("The provider's id of the message."),
  error_group: text,
});

/** A change of a row, and who made it. */
const changeSchema = z.object({
  at: z.string(),
  event: z.string(),
  by: text.describe(
    "`tick`, `attempt`, `sweep`, `expiry`, `receipt`, `check`, or a person's name; null if it is not known.",
  ),
  text,
  claim_id: text,
});

const receiptSchema = z.object({
  status: z.string(),
  message_id: z.string(),
  claim_id: text,
  said_at: text,
  received_at: z.string(),
  applied_at: text,
  error: text,
});

/** What the evidence shows of how often a row was sent. SQL's judge_sent_once defines the verdicts. */
const sentOnceSchema = z.object({
  verdict: z.enum([
    'not_sent',
    'under_way',
    'unknown',
    'by_answer_alone',
    'once',
    'by_decision',
    'may_be_twice',
    'twice',
    'not_delivered',
  ]),
  attempts: z.number().describe('Attempts that may have had an effect.'),
  open: z.number().describe('Those of them without evidence either way.'),
  ids: z
    .array(z.object({ id: z.string(), by: z.array(z.enum(['answer', 'row', 'receipt', 'check', 'late'])) }))
    .describe("The provider's ids, each with its sources."),
  failed_ids: z
    .array(z.string())
    .describe('Ids of messages that the provider accepted and could not deliver.'),
});

export const rowStorySchema = z.object({
  queue: z.string(),
  id: z.string(),
  status: text,
  state: z
    .enum(['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'])
    .nullable()
    .describe("Null if the row's status is no word of its queue."),
  row: z.record(z.string(), z.unknown()).describe('All columns of its table, except the secret ones.'),
  why: explanationSchema.nullable().describe("Null if the row's status is no word of its queue."),
  attempts: z.array(attemptSchema).describe('Oldest first, like `events` and `receipts`.'),
  events: z.array(changeSchema),
  receipts: z.array(receiptSchema),
  checks: reconcileFacts.nullable().describe('Null if no attempt was uncertain.'),
  /** Null in an at-least-once queue. */
  sent_once: sentOnceSchema.nullable(),
});

export type RowStory = z.infer<typeof rowStorySchema>;

export const foundRowSchema = z.object({
  queue: z.string(),
  id: z.string(),
  status: text,
  state: text,
  by: z.enum(['id', 'provider_id', 'key', 'address']).describe('How the text names the row.'),
});

export type FoundRow = z.infer<typeof foundRowSchema>;
