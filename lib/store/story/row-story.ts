import { z } from 'zod';
import { explanationSchema, reconcileFacts } from '../explanation.ts';

const text = z.string().nullable();

const attemptSchema = z.object({
  claim_id: text,
  /** Null once the ledger has deleted the tick. */
  tick: z.object({ id: z.string(), scheduler: z.string(), started_at: z.string() }).nullable(),
  /** Null for an attempt of before these columns existed. */
  claimed_at: text,
  /** Null while it runs. */
  ended_at: text,
  /** How long the handler ran; null if that is not known. */
  duration_ms: z.number().nullable(),
  outcome: z.enum(['done', 'retry', 'dead', 'unknown', 'swept', 'running']),
  /** The error's kind, or `timeout`, `cut`, `thrown`, `returned`, `unreadable`; null if it did not fail. */
  kind: text,
  /** The provider's code, or the HTTP status. */
  code: text,
  text,
  /** The beginning of the provider's answer, without secrets and without the message's text. */
  answer: text,
  /** The provider's id of the message. */
  proof: text,
  error_group: text,
});

/** A change of a row, and who made it. */
const changeSchema = z.object({
  at: z.string(),
  event: z.string(),
  /** `tick`, `attempt`, `sweep`, `expiry`, `receipt`, `check`, or a person's name; null if it is not known. */
  by: text,
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
  /** Attempts that may have had an effect. */
  attempts: z.number(),
  /** Those of them without evidence either way. */
  open: z.number(),
  /** The provider's ids, each with its sources. */
  ids: z.array(
    z.object({ id: z.string(), by: z.array(z.enum(['answer', 'row', 'receipt', 'check', 'late'])) }),
  ),
  /** Ids of messages that the provider accepted and could not deliver. */
  failed_ids: z.array(z.string()),
});

export const rowStorySchema = z.object({
  queue: z.string(),
  id: z.string(),
  status: text,
  /** Null if the row's status is no word of its queue. */
  state: z.enum(['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']).nullable(),
  /** All columns of its table, except the secret ones. */
  row: z.record(z.string(), z.unknown()),
  /** Null if the row's status is no word of its queue. */
  why: explanationSchema.nullable(),
  /** Oldest first, like `events` and `receipts`. */
  attempts: z.array(attemptSchema),
  events: z.array(changeSchema),
  receipts: z.array(receiptSchema),
  /** Null if no attempt was uncertain. */
  checks: reconcileFacts.nullable(),
  /** Null in an at-least-once queue. */
  sent_once: sentOnceSchema.nullable(),
});

export type RowStory = z.infer<typeof rowStorySchema>;

export const foundRowSchema = z.object({
  queue: z.string(),
  id: z.string(),
  status: text,
  state: text,
  /** How the text names the row. */
  by: z.enum(['id', 'provider_id', 'key', 'address']),
});

export type FoundRow = z.infer<typeof foundRowSchema>;
