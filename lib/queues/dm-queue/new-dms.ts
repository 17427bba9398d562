import { z } from 'zod';
import { checkBy, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import { instant } from '../../http/input/instant.ts';
import { priority } from '../../http/input/priority.ts';
import { nonEmptyText } from '../../http/input/storable-text.ts';
import { templateField } from '../../http/input/template-field.ts';
import { bodyLimits, channels } from '../../providers/body-limits.ts';
import type { Rpc } from '../../store/rpc.ts';

const dmInput = z
  .strictObject({
    account_id: z.guid(),
    channel: z.enum(channels),
    chat_id: nonEmptyText(500).optional(),
    recipient: nonEmptyText(500).optional(),
    /** Its longest length depends on the channel. */
    body: nonEmptyText(Number.POSITIVE_INFINITY),
    /** WhatsApp only: sent instead of `body` if the person has not written for 24 hours. */
    template: templateField.optional(),
    /** Now by default. */
    send_at: instant.optional(),
    priority: priority.optional(),
    /** Not sent after this. */
    expires_at: instant.optional(),
    idempotency_key: nonEmptyText(200).optional(),
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
