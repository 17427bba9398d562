import { z } from 'zod';
import { checkBy, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import { instant } from '../../http/input/instant.ts';
import { priority } from '../../http/input/priority.ts';
import { nonEmptyText } from '../../http/input/storable-text.ts';
import { templateField } from '../../http/input/template-field.ts';
import { bodyLimits, channels } from '../../providers/body-limits.ts';
import type { Rpc } from '../../store/rpc.ts';

export const dmInput = z
  .strictObject({
    account_id: z.guid().describe('From `/api/accounts`.'),
    channel: z.enum(channels),
    chat_id: nonEmptyText(500)
      .optional()
      .describe('An existing chat. Either this or `recipient` is required.'),
    recipient: nonEmptyText(500)
      .optional()
      .describe('The person to open a chat with: the provider’s id or a telephone number.'),
    body: nonEmptyText(Number.POSITIVE_INFINITY).describe('Up to 8,000 characters, 4,096 for WhatsApp.'),
    template: templateField
      .optional()
      .describe(
        'WhatsApp only: `{ name, language, parameters }`, an approved template, which is sent instead of `body` if the person has not written for [24 hours](sequences.md#whatsapps-24-hours).',
      ),
    send_at: instant.optional().describe('When it is due; default now.'),
    priority: priority.optional(),
    expires_at: instant.optional().describe('The message is not sent after this.'),
    idempotency_key: nonEmptyText(200).optional().describe('See [idempotency keys](#idempotency-keys).'),
  })
  .superRefine((dm, context) => {
    const maxLength = bodyLimits[dm.channel];
    if (dm.body.length > maxLength) {
      context.addIssue({
        code: 'custom',
        path: ['body'],
        message: `is ${dm.body.length} characters long; ${dm.channel} allows ${maxLength}`,
      });
    }
    if (dm.template !== undefined && dm.channel !== 'whatsapp') {
      context.addIssue({ code: 'custom', path: ['template'], message: 'is only for WhatsApp' });
    }
    if (dm.chat_id === undefined && dm.recipient === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['recipient'],
        message: 'give a chat_id, or a recipient to open a chat with',
      });
    }
  });

/** Checks one message or a list of up to 1,000, and inserts all of them or none. Throws a `ValidationError` or a `StoreError`. */
export function enqueueDms(rpc: Rpc, body: unknown): Promise<{ rows: InsertedRow[] }> {
  return insertMany('message', body, checkBy(dmInput), (rows) => rpc('enqueue_dms', { p_rows: rows }));
}
