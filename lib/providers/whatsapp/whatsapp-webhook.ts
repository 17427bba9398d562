import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { MAX_ID_LENGTH, type Receipt, toInstant, type WebhookReading } from '../receipt.ts';

/**
 * Whether Meta sent this body. `signature` is the header `X-Hub-Signature-256`, an HMAC-SHA256 of the raw body. The comparison takes constant
 * time.
 */
export function isSignedByMeta(body: Uint8Array, signature: string | null, appSecret: string): boolean {
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(signature ?? '')?.[1];
  if (!hex) return false;
  return timingSafeEqual(Buffer.from(hex, 'hex'), createHmac('sha256', appSecret).update(body).digest());
}

const id = z.string().min(1).max(MAX_ID_LENGTH);
const optionalId = id.optional().catch(undefined);
const text = z.string().optional().catch(undefined);
/** Seconds since the epoch, as a string. */
const timestamp = z.coerce.number().optional().catch(undefined);

const status = z.object({
  id,
  status: z.enum(['sent', 'delivered', 'read', 'failed']),
  timestamp,
  // Missing if the message was sent to the user id.
  recipient_id: optionalId,
  recipient_user_id: optionalId,
  biz_opaque_callback_data: text,
  errors: z
    .array(
      z.object({
        code: z.union([z.number(), z.string()]).optional().catch(undefined),
        title: text,
        error_data: z.object({ details: text }).optional().catch(undefined),
      }),
    )
    .max(100)
    .optional()
    .catch(undefined),
});

const message = z.object({
  id,
  // Missing if the person hides the number behind a user name.
  from: optionalId,
  from_user_id: optionalId,
  timestamp,
  // WhatsApp writes `system` messages itself, for example when a person's number changes.
  type: z
    .unknown()
    .refine((type) => type !== 'system')
    .optional(),
  // A message in a group is not a reply to us alone.
  group_id: z.undefined().optional(),
  text: z.object({ body: text }).optional().catch(undefined),
});

const change = z.object({
  field: z.literal('messages'),
  value: z.object({
    metadata: z.object({ phone_number_id: optionalId }).optional().catch(undefined),
    statuses: z.array(z.unknown()).default([]),
    messages: z.array(z.unknown()).default([]),
  }),
});

const webhook = z.object({ entry: z.array(z.unknown()) });
const entry = z.object({ changes: z.array(z.unknown()) });

/** Entries, changes, statuses and messages together. Meta sends up to 1,000 updates at once. Source: Meta's guide to webhooks. */
const maxEntries = 10_000;

/** Reads the receipts of a WhatsApp Cloud API webhook. Events in another form are counted and ignored. */
export function readWhatsappWebhook(body: unknown): WebhookReading {
  const receipts: Receipt[] = [];
  let ignored = 0;
  let room = maxEntries;
  function fitting<T>(schema: z.ZodType<T>, values: unknown[]): T[] {
    room -= values.length;
    if (room < 0) return [];
    const fit = values.flatMap((value) => {
      const parsed = schema.safeParse(value);
      return parsed.success ? [parsed.data] : [];
    });
    ignored += values.length - fit.length;
    return fit;
  }

  const entries = fitting(webhook, [body]).flatMap((known) => fitting(entry, known.entry));
  const changes = entries.flatMap((known) => fitting(change, known.changes));
  for (const { value } of changes) {
    const account = value.metadata?.phone_number_id;
    for (const known of fitting(status, value.statuses)) receipts.push(ofStatus(known, account));
    for (const known of fitting(message, value.messages)) receipts.push(ofMessage(known, account));
  }
  const error = room < 0 ? `the body has more than ${maxEntries} entries` : undefined;
  return { receipts, ignored, error };
}

function ofStatus(known: z.infer<typeof status>, account: string | undefined): Receipt {
  return {
    kind: 'status',
    status: known.status,
    message_id: known.id,
    reference: known.biz_opaque_callback_data,
    provider_account_id: account,
    recipient: known.recipient_id ?? known.recipient_user_id,
    user_id: known.recipient_user_id,
    error: known.status === 'failed' ? describeErrors(known.errors) : undefined,
    said_at: toInstant((known.timestamp ?? Number.NaN) * 1000),
  };
}

function ofMessage(known: z.infer<typeof message>, account: string | undefined): Receipt {
  return {
    kind: 'message',
    status: 'received',
    message_id: known.id,
    provider_account_id: account,
    recipient: known.from ?? known.from_user_id,
    user_id: known.from_user_id,
    body: known.text?.body,
    said_at: toInstant((known.timestamp ?? Number.NaN) * 1000),
  };
}

/** In the form of the API's error responses: `131026 Message undeliverable: …`. */
function describeErrors(errors: z.infer<typeof status>['errors'] = []): string | undefined {
  const words = errors.map(({ code, title, error_data }) =>
    [[code, title].filter((part) => part !== undefined).join(' '), error_data?.details]
      .filter(Boolean)
      .join(': '),
  );
  return words.filter(Boolean).join('; ').slice(0, 300) || undefined;
}
