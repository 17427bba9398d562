import { createHmac } from 'node:crypto';
import { z } from 'zod';
import {
  type Delivery,
  type DeliveryLog,
  isUserId,
  person,
  type Reply,
  type Send,
  userIdOf,
} from '../delivery-log.ts';
import type { SandboxResponse } from '../response.ts';
import type { ParsedRequest, ProviderRequest, Shape } from './shape.ts';

export const SANDBOX_ACCESS_TOKEN = 'sandbox-token';

const error = (
  status: number,
  code: number,
  message: string,
  headers?: Record<string, string>,
): SandboxResponse => ({
  status,
  headers,
  body: {
    error: {
      message: `(#${code}) ${message}`,
      type: 'OAuthException',
      code,
      error_data: { messaging_product: 'whatsapp', details: 'From the sandbox.' },
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
      contacts: [
        {
          input: recipient,
          ...(isUserId(recipient) ? { user_id: recipient } : { wa_id: recipient.replace(/\D/g, '') }),
        },
      ],
      messages: [{ id }],
    },
  }),
  rateLimited: (seconds) => error(429, 130429, 'Rate limit hit', { 'retry-after': String(seconds) }),
  limited: (limit) => error(400, Number(limit), LIMITS[limit] ?? ''),
  restricted: () => error(403, 131031, 'Account has been locked'),
  disconnected: () => error(403, 131031, 'Account has been locked'),
  failed: () => error(500, 131000, 'Something went wrong'),
  tooLong: () => error(413, 100, 'The body is larger than 1 MB'),
};

const parameters = z.array(z.object({ type: z.literal('text'), text: z.string().min(1) })).min(1);
const template = z.object({
  name: z.string().min(1),
  language: z.object({ code: z.string().min(1) }),
  components: z.tuple([z.object({ type: z.literal('body'), parameters })]).optional(),
});

const message = z.object({
  messaging_product: z.literal('whatsapp'),
  /** A phone number. */
  to: z
    .string()
    .regex(/\d/)
    .regex(/^[^A-Z]*$/)
    .optional(),
  /** A business-scoped user id. */
  recipient: z
    .string()
    .regex(/^[A-Z]{2}\.[A-Za-z0-9]+$/)
    .optional(),
  type: z.string(),
  text: z.object({ body: z.string().min(1) }).optional(),
  template: template.optional(),
  biz_opaque_callback_data: z.string().optional(),
});

const WINDOW_MS = 24 * 3_600_000;

/**
 * Parses a request below `/v<version>` as the WhatsApp Cloud API does. With `enforceWindow` it refuses a text to a person who has not written for
 * 24 hours. All templates are approved, except those with a name that begins with `unapproved`.
 */
export function readWhatsapp(
  request: ProviderRequest,
  log: DeliveryLog,
  enforceWindow: boolean,
): ParsedRequest {
  if (request.header('authorization') !== `Bearer ${SANDBOX_ACCESS_TOKEN}`) {
    return { response: error(401, 190, 'Invalid OAuth access token') };
  }
  const account = /^\/v[\d.]+\/([^/]+)\/messages\/?$/.exec(request.url.pathname)?.[1];
  if (!account || request.method !== 'POST') return { response: error(404, 2500, 'Unknown path components') };
  const parsed = message.safeParse(readJson(request.body));
  if (!parsed.success) return { response: error(400, 100, 'Invalid parameter') };
  const { to, recipient = '', biz_opaque_callback_data: reference } = parsed.data;
  if (!to && !recipient) return { response: error(400, 131008, 'Required parameter is missing') };
  const content = contentOf(parsed.data);
  if (!content) return { response: error(400, 131051, 'Unsupported message type') };
  const send: Send = {
    provider: 'whatsapp-cloud',
    account,
    recipient: to ?? recipient,
    ...content,
    reference,
  };
  return { send, shape: whatsappShape, refusal: refusalOf(send, enforceWindow ? log : null) };
}

/** `replyLog` has the recipients' replies; null does not enforce the window. */
function refusalOf(send: Send, replyLog: DeliveryLog | null): SandboxResponse | null {
  if (send.recipient.startsWith('+000')) return error(400, 131026, 'Message undeliverable');
  if (send.template) {
    const isApproved = !send.template.name.startsWith('unapproved');
    return isApproved ? null : error(404, 132001, 'Template does not exist');
  }
  const lastReplyMs = replyLog?.lastReplyMs(send) ?? Number.NEGATIVE_INFINITY;
  const isOpen = replyLog === null || Date.now() - lastReplyMs < WINDOW_MS;
  return isOpen ? null : error(400, 131047, 'Re-engagement message');
}

/** Returns a message's content; null for a type that the sandbox does not know. */
function contentOf({
  type,
  text,
  template,
}: z.infer<typeof message>): Pick<Send, 'text' | 'template'> | null {
  if (type === 'text' && text) return { text: text.body };
  if (type !== 'template' || !template) return null;
  const { name, language, components } = template;
  const parameters = (components?.[0].parameters ?? []).map((parameter) => parameter.text);
  const details = parameters.length > 0 ? `: ${parameters.join(' | ')}` : '';
  return {
    text: `${name} (${language.code})${details}`,
    template: { name, language: language.code, parameters },
  };
}

/** Meta's webhook event of a message's status, with the current time. */
export function statusEvent(delivery: Delivery, status: 'sent' | 'delivered') {
  return eventOf(delivery, {
    statuses: [
      {
        id: delivery.id,
        status,
        timestamp: seconds(Date.now()),
        recipient_id: isUserId(delivery.recipient) ? undefined : person(delivery),
        recipient_user_id: userIdOf(person(delivery)),
        biz_opaque_callback_data: delivery.reference,
      },
    ],
  });
}

/** Meta's webhook event of a reply. A person who writes by the user id hides the number. */
export function inboundEvent(reply: Reply) {
  const from = isUserId(reply.recipient) ? undefined : person(reply);
  const user_id = userIdOf(person(reply));
  const timestamp = seconds(Date.parse(reply.at));
  return eventOf(reply, {
    contacts: [{ profile: { name: from ?? 'somebody' }, wa_id: from, user_id }],
    messages: [
      { from, from_user_id: user_id, id: reply.id, timestamp, type: 'text', text: { body: reply.text } },
    ],
  });
}

function eventOf({ account }: Delivery | Reply, content: object) {
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: account, phone_number_id: account },
    ...content,
  };
  return {
    object: 'whatsapp_business_account',
    entry: [{ id: 'sandbox', changes: [{ field: 'messages', value }] }],
  };
}

const seconds = (ms: number) => String(Math.floor(ms / 1000));

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
