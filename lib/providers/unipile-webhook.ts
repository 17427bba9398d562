import { z } from 'zod';
import { MAX_ID_LENGTH, saidAt, type WebhookReading } from './receipt';

const id = z.string().min(1).max(MAX_ID_LENGTH);
const optionalId = id.optional().catch(undefined);
const attendee = z.object({ attendee_provider_id: optionalId });

const messageReceived = z.object({
  event: z.literal('message_received'),
  message_id: id,
  account_id: id,
  chat_id: optionalId,
  message: z.string().nullish().catch(undefined),
  timestamp: z.string().optional().catch(undefined),
  /** Who the account is at its network; an organisation writes as its mailbox. */
  account_info: z.object({ user_id: optionalId, mailbox_id: optionalId }).optional().catch(undefined),
  sender: attendee.optional().catch(undefined),
  // A group with more has no one recipient either.
  attendees: z.array(attendee).max(1_000).default([]).catch([]),
  is_sender: z
    .union([z.boolean(), z.literal(0), z.literal(1)])
    .optional()
    .catch(undefined),
});

/**
 * The receipt in the JSON of a webhook of Unipile's source `messaging`. `message_received` is told of every
 * message in a chat, those that the account itself sent included; other events are ignored, and so is a
 * message that does not say whose it is.
 */
export function readUnipileWebhook(body: unknown): WebhookReading {
  const parsed = messageReceived.safeParse(body);
  if (!parsed.success) return { receipts: [], ignored: 1 };
  const { sender, account_info, is_sender, attendees, ...told } = parsed.data;
  const from = sender?.attendee_provider_id;
  const ourselves = [account_info?.user_id, account_info?.mailbox_id].filter((own) => own !== undefined);
  const knowable = from !== undefined && ourselves.length > 0;
  if (!knowable && is_sender === undefined) return { receipts: [], ignored: 1 };
  const sent = is_sender === undefined ? ourselves.includes(from ?? '') : Boolean(is_sender);

  const others = new Set(attendees.map((one) => one.attendee_provider_id).filter((one) => one !== undefined));
  for (const own of [...ourselves, ...(sent && from ? [from] : [])]) others.delete(own);
  // Of a group nobody is the recipient.
  const [onlyOther] = others.size === 1 ? others : [];
  return {
    receipts: [
      {
        kind: 'message',
        status: sent ? 'sent' : 'received',
        message_id: told.message_id,
        provider_account_id: told.account_id,
        chat_id: told.chat_id,
        recipient: sent ? onlyOther : from,
        body: told.message ?? undefined,
        said_at: saidAt(Date.parse(told.timestamp ?? '')),
      },
    ],
    ignored: 0,
  };
}
