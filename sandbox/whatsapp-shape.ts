import { createHmac } from 'node:crypto';
import { z } from 'zod';
import type { Answer } from './answer';
import type { Delivery } from './delivery-log';
import type { Asked, Reading, Shape } from './shape';

export const SANDBOX_ACCESS_TOKEN = 'sandbox-token';

const error = (status: number, code: number, message: string, headers?: Record<string, string>): Answer => ({
  status,
  headers,
  body: {
    error: {
      message: `(#${code}) ${message}`,
      type: 'OAuthException',
      code,
      error_data: { messaging_product: 'whatsapp', details: 'Said by the sandbox.' },
      fbtrace_id: 'sandbox',
    },
  },
});

const LIMITS: Record<string, string> = {
  '80007': 'Rate limit issues',
  '130429': 'Rate limit hit',
  '131048': 'Spam rate limit hit',
  '131051': 'Unsupported message type',
  '131056': 'Pair rate limit hit',
};

export const whatsappShape: Shape = {
  accepted: ({ id, recipient }) => ({
    status: 200,
    body: {
      messaging_product: 'whatsapp',
      contacts: [{ input: recipient, wa_id: recipient.replace(/^\+/, '') }],
      messages: [{ id }],
    },
  }),
  rateLimited: (seconds) => error(429, 130429, 'Rate limit hit', { 'retry-after': String(seconds) }),
  limited: (limit) => error(400, Number(limit), LIMITS[limit] ?? ''),
  failed: () => error(500, 131000, 'Something went wrong'),
  tooLong: () => error(413, 100, 'The body is larger than 1 MB'),
};

const message = z.object({
  messaging_product: z.literal('whatsapp'),
  to: z.string().min(1),
  type: z.string(),
  text: z.object({ body: z.string().min(1) }).optional(),
  biz_opaque_callback_data: z.string().optional(),
});

/** Reads a request below `/v<version>` as the WhatsApp Cloud API would. */
export function readWhatsapp(asked: Asked): Reading {
  if (asked.header('authorization') !== `Bearer ${SANDBOX_ACCESS_TOKEN}`) {
    return { answer: error(401, 190, 'Invalid OAuth access token') };
  }
  const account = /^\/v[\d.]+\/([^/]+)\/messages\/?$/.exec(asked.url.pathname)?.[1];
  if (!account || asked.method !== 'POST') return { answer: error(404, 2500, 'Unknown path components') };
  const parsed = message.safeParse(readJson(asked.body));
  if (!parsed.success) return { answer: error(400, 100, 'Invalid parameter') };
  const { to, type, text, biz_opaque_callback_data: reference } = parsed.data;
  if (type !== 'text' || !text) return { answer: error(400, 131051, 'Unsupported message type') };
  return {
    send: { provider: 'whatsapp-cloud', account, recipient: to, text: text.body, reference },
    shape: whatsappShape,
    refusal: to.startsWith('+000') ? error(400, 131026, 'Message undeliverable') : null,
  };
}

/** What Meta says in a webhook of one message, now. */
export function statusEvent({ id, account, recipient, reference }: Delivery, status: 'sent' | 'delivered') {
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: account, phone_number_id: account },
    statuses: [
      {
        id,
        status,
        timestamp: String(Math.floor(Date.now() / 1000)),
        recipient_id: recipient.replace(/^\+/, ''),
        biz_opaque_callback_data: reference,
      },
    ],
  };
  return {
    object: 'whatsapp_business_account',
    entry: [{ id: 'sandbox', changes: [{ field: 'messages', value }] }],
  };
}

/** The header `X-Hub-Signature-256`. */
export function signature(body: string, appSecret: string): string {
  return `sha256=${createHmac('sha256', appSecret).update(body).digest('hex')}`;
}

function readJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
