import { z } from 'zod';

export const phases = ['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed'] as const;
const phase = z.enum(phases);

const template = z.object({ name: z.string(), language: z.string(), parameters: z.array(z.string()) });

/** As it is kept; `delay_seconds` and the like in seconds, `hours` by weekday in the person's time zone. */
const step = z.object({
  kind: z.enum(['message', 'question']),
  delay_seconds: z.number(),
  hours: z.record(z.string(), z.array(z.string())).nullable(),
  body: z.string(),
  template: template.nullable(),
  on_reply: z.enum(['stop', 'continue']),
  reminder: z
    .object({ after_seconds: z.number(), body: z.string(), template: template.nullable() })
    .nullable(),
  no_reply: z.object({ after_seconds: z.number(), action: z.enum(['continue', 'stop']) }).nullable(),
});

const funnel = z.object({
  enrolled: z.number(),
  /** Of those who go on. */
  paused: z.number(),
  phases: z.record(phase, z.number()),
  /** `at`: who is there now; the others: who ever got that far. `body` is null of a step that the sequence has no more. */
  steps: z.array(
    z.object({
      step: z.number(),
      kind: z.enum(['message', 'question']),
      body: z.string().nullable(),
      at: z.number(),
      sent: z.number(),
      reminded: z.number(),
      replied: z.number(),
    }),
  ),
});
export type Funnel = z.infer<typeof funnel>;

/** A sequence as the database answers it. */
export const sequenceSchema = z.object({
  id: z.string(),
  name: z.string(),
  channel: z.enum(['linkedin', 'whatsapp']),
  time_zone: z.string().nullable(),
  version: z.number(),
  steps: z.array(step),
  /** The variables that everybody who is enrolled has to bring. */
  placeholders: z.array(z.string()),
  created_at: z.string(),
  updated_at: z.string(),
  funnel,
});
export type Sequence = z.infer<typeof sequenceSchema>;

/** One person in one sequence through one account. */
export const enrolmentSchema = z.object({
  id: z.string(),
  sequence_id: z.string(),
  sequence_name: z.string(),
  /** Of the sequence's steps, which are those that the person was enrolled with. */
  version: z.number(),
  account_id: z.string().nullable(),
  account_name: z.string().nullable(),
  channel: z.enum(['linkedin', 'whatsapp']),
  chat_id: z.string().nullable(),
  recipient: z.string().nullable(),
  variables: z.record(z.string(), z.string()),
  time_zone: z.string(),
  phase,
  status: z.string(),
  /** The step that is next, or whose question waits for an answer, of `steps`. */
  step: z.number(),
  steps: z.number(),
  next_step_at: z.string().nullable(),
  /** What happens then: the step is sent, or its reminder, or it goes on or ends without an answer. Null with `next_step_at`. */
  next_action: z.enum(['send', 'remind', 'go_on', 'stop']).nullable(),
  /** What it waits for, in words for people. */
  waits_for: z.string().nullable(),
  paused_at: z.string().nullable(),
  /** The row of `dm_queue` that is on its way. */
  message_id: z.string().nullable(),
  sent_steps: z.number(),
  replied_at: z.string().nullable(),
  last_reply: z.string().nullable(),
  last_error: z.string().nullable(),
  enrolled_at: z.string(),
  finished_at: z.string().nullable(),
});
export type Enrolment = z.infer<typeof enrolmentSchema>;

export const enrolmentEvents = [
  'enrolled',
  'queued',
  'sent',
  'reminder_queued',
  'reminded',
  'replied',
  'paused',
  'resumed',
  'unknown',
  'withdrawn',
  'failed',
  'stopped',
  'completed',
] as const;

export const enrolmentWithTimeline = enrolmentSchema.extend({
  timeline: z.array(
    z.object({
      at: z.string(),
      event: z.enum(enrolmentEvents),
      step: z.number().nullable(),
      message_id: z.string().nullable(),
      text: z.string().nullable(),
    }),
  ),
});
export type EnrolmentWithTimeline = z.infer<typeof enrolmentWithTimeline>;

/** What somebody wrote that is nobody's as far as is known. */
export const replySchema = z.object({
  id: z.string(),
  provider: z.string(),
  account_id: z.string().nullable(),
  account_name: z.string().nullable(),
  chat_id: z.string().nullable(),
  recipient: z.string().nullable(),
  body: z.string().nullable(),
  said_at: z.string().nullable(),
  received_at: z.string(),
});

export const previewSchema = z.object({
  steps: z.array(
    z.object({
      step: z.number(),
      kind: z.enum(['message', 'question', 'reminder']),
      body: z.string(),
      template: template.nullable(),
      /** Null where nobody can say. */
      about_at: z.string().nullable(),
      note: z.string().nullable(),
    }),
  ),
});
