import { z } from 'zod';

export const phases = ['in_progress', 'waiting_reply', 'replied', 'completed', 'stopped', 'failed'] as const;
const phase = z.enum(phases);

const template = z.object({ name: z.string(), language: z.string(), parameters: z.array(z.string()) });

/** As stored. `hours` are by weekday, in the person's time zone. */
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
  paused: z.number().describe('Paused enrolments that have not ended.'),
  phases: z.record(phase, z.number()),
  steps: z
    .array(
      z.object({
        step: z.number(),
        kind: z.enum(['message', 'question']),
        body: z.string().nullable(),
        at: z.number(),
        sent: z.number(),
        reminded: z.number(),
        replied: z.number(),
      }),
    )
    .describe(
      '`at` counts the people who are at the step now; the other counts include everyone who ever got that far. `body` is null for a removed step.',
    ),
});
export type Funnel = z.infer<typeof funnel>;

/** A sequence as the database returns it. */
export const sequenceSchema = z.object({
  id: z.string(),
  name: z.string(),
  channel: z.enum(['linkedin', 'whatsapp']),
  time_zone: z.string().nullable(),
  version: z.number(),
  steps: z.array(step),
  placeholders: z.array(z.string()).describe('The variables that each enrolment must have.'),
  created_at: z.string(),
  updated_at: z.string(),
  funnel,
});
export type Sequence = z.infer<typeof sequenceSchema>;

/** One person in one sequence, written to from one account. */
export const enrolmentSchema = z.object({
  id: z.string(),
  sequence_id: z.string(),
  sequence_name: z.string(),
  version: z.number().describe("The version of the sequence's steps with which the person was enrolled."),
  account_id: z.string().nullable(),
  account_name: z.string().nullable(),
  channel: z.enum(['linkedin', 'whatsapp']),
  chat_id: z.string().nullable(),
  recipient: z.string().nullable(),
  variables: z.record(z.string(), z.string()),
  time_zone: z.string(),
  phase,
  status: z.string(),
  step: z.number().describe('The next step, or the question that waits for a reply, of `steps`.'),
  steps: z.number(),
  next_step_at: z.string().nullable(),
  next_action: z
    .enum(['send', 'remind', 'advance', 'stop'])
    .nullable()
    .describe(
      'The action at `next_step_at`: send the step, send its reminder, or, without a reply, continue or stop. Null with `next_step_at`.',
    ),
  waits_for: z.string().nullable().describe('Why the enrolment waits, in words for people.'),
  paused_at: z.string().nullable(),
  message_id: z.string().nullable().describe('The row of `dm_queue` that is not finished.'),
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

/** A reply that matches no enrolment. */
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
      about_at: z.string().nullable().describe('An estimate; null if there is none.'),
      note: z.string().nullable(),
    }),
  ),
});
