import { z } from 'zod';
import { atMost } from '../../http/input/at-most.ts';
import { nonBlankText } from '../../http/input/storable-text.ts';
import { templateField } from '../../http/input/template-field.ts';
import { weeklyHours } from '../../http/input/weekly-hours.ts';
import { bodyLimits, type Channel } from '../../providers/body-limits.ts';
import { placeholderFaults } from './placeholders.ts';

const yearSeconds = 31_536_000;
const seconds = (min: number) => z.int().min(min).max(yearSeconds);

function checkPlaceholders(text: string, context: z.RefinementCtx): void {
  for (const message of placeholderFaults(text)) context.addIssue({ code: 'custom', message });
}

/** Makes the schema of a sequence's 1 to 50 steps over a channel. It fills in the defaults. */
export function sequenceSteps(channel: Channel) {
  const body = nonBlankText(bodyLimits[channel]).superRefine(checkPlaceholders);
  const template = templateField
    .superRefine(({ parameters }, context) => {
      for (const [index, parameter] of parameters.entries()) {
        for (const message of placeholderFaults(parameter)) {
          context.addIssue({ code: 'custom', path: ['parameters', index], message });
        }
      }
    })
    .nullable()
    .default(null)
    .refine((given) => given === null || channel === 'whatsapp', 'is only for WhatsApp');
  const step = z
    .strictObject({
      kind: z.enum(['message', 'question']),
      delay_seconds: seconds(0)
        .default(0)
        .describe("Counted from the previous step's sending, or for the first step from the enrolment."),
      hours: weeklyHours.nullable().default(null),
      body,
      template,
      on_reply: z.enum(['stop', 'continue']).optional(),
      reminder: z
        .strictObject({ after_seconds: seconds(1), body, template })
        .nullable()
        .default(null),
      no_reply: z
        .strictObject({ after_seconds: seconds(1), action: z.enum(['continue', 'stop']) })
        .nullable()
        .default(null),
    })
    .superRefine(({ kind, reminder, no_reply }, context) => {
      const refuse = (field: string, message: string) =>
        context.addIssue({ code: 'custom', path: [field], message });
      if (kind === 'message' && reminder)
        refuse('reminder', 'is only for questions: a message does not wait for a reply');
      if (kind === 'message' && no_reply)
        refuse('no_reply', 'is only for questions: a message does not wait for a reply');
      if (reminder && no_reply && reminder.after_seconds >= no_reply.after_seconds) {
        refuse('reminder', 'comes after no_reply ends the wait: make its after_seconds shorter');
      }
    })
    .transform((given) => ({
      ...given,
      on_reply: given.on_reply ?? (given.kind === 'question' ? 'continue' : 'stop'),
    }));
  return atMost(50, z.array(step).min(1, 'is empty: a sequence needs at least one step'));
}
