import { z } from 'zod';
import { type ErrorReading, type HttpAnswer, request, unexpectedAnswer } from './http';
import type { WhatsappTemplate } from './whatsapp-template';

const PROVIDER = 'whatsapp-cloud';

interface Message {
  phoneNumberId: string;
  /** A phone number in international form. */
  to: string;
  /** Comes back in the status webhooks (`biz_opaque_callback_data`), which is how an uncertain send is reconciled. */
  reference: string;
  signal?: AbortSignal;
}

export interface WhatsappCloud {
  /**
   * Sends a text, which WhatsApp takes only within 24 hours of what the person last wrote.
   * @throws ProviderError
   */
  sendText(message: Message & { text: string }): Promise<{ messageId: string }>;
  /**
   * Sends an approved template, at any time.
   * @throws ProviderError
   */
  sendTemplate(message: Message & { template: WhatsappTemplate }): Promise<{ messageId: string }>;
}

const sentAnswer = z.object({ messages: z.tuple([z.object({ id: z.string().min(1) })], z.unknown()) });

const errorBody = z.object({
  error: z.object({
    code: z.number(),
    message: z.string().optional(),
    error_data: z.object({ details: z.string().optional() }).optional().catch(undefined),
  }),
});

const DAY_SECONDS = 24 * 3600;

/**
 * Codes that say what happened whatever the status is; any other code leaves it to the status. 131056 is of
 * one recipient (a message in 6 s), and the others may go on. 131048 is the spam limit: going on makes it
 * worse, so the account rests for a day, and an operator sees why. 131051 is "unsupported message type",
 * though many guides call it a rate limit. 131047 is the 24-hour window, and those from 132000 on are of the
 * template: it is not there, paused or disabled, or does not go with its parameters; nothing was sent.
 */
const READING_OF_CODE = new Map<number, ErrorReading>([
  [4, { kind: 'rate_limited' }],
  [80007, { kind: 'rate_limited' }],
  [130429, { kind: 'rate_limited' }],
  [131056, { kind: 'rate_limited', scope: 'pair' }],
  [131048, { kind: 'rate_limited', retryAfterSeconds: DAY_SECONDS }],
  ...[131051, 131047, 132000, 132001, 132005, 132007, 132012, 132015, 132016].map(
    (code) => [code, { kind: 'rejected' }] as const,
  ),
  [190, { kind: 'unauthorised' }],
]);

/**
 * Messaging by Meta's WhatsApp Cloud API. `apiVersion` is that of the Graph API, such as `v23.0`;
 * `baseUrl` is `https://graph.facebook.com` unless given.
 */
export function whatsappCloud(options: {
  accessToken: string;
  apiVersion: string;
  baseUrl?: string;
}): WhatsappCloud {
  const base = (options.baseUrl ?? 'https://graph.facebook.com').replace(/\/+$/, '');

  async function send({ phoneNumberId, to, reference, signal }: Message, content: object) {
    const answer = await request({
      provider: PROVIDER,
      method: 'POST',
      url: `${base}/${options.apiVersion}/${encodeURIComponent(phoneNumberId)}/messages`,
      headers: { authorization: `Bearer ${options.accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        messaging_product: 'whatsapp',
        recipient_type: 'individual',
        to,
        ...content,
        biz_opaque_callback_data: reference,
      }),
      signal,
      readError,
    });
    const parsed = sentAnswer.safeParse(answer.body);
    if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
    return { messageId: parsed.data.messages[0].id };
  }

  return {
    sendText: ({ text, ...message }) => send(message, { type: 'text', text: { body: text } }),
    sendTemplate: ({ template, ...message }) =>
      send(message, { type: 'template', template: templateObject(template) }),
  };
}

function templateObject({ name, language, parameters }: WhatsappTemplate) {
  const body = { type: 'body', parameters: parameters.map((text) => ({ type: 'text', text })) };
  return {
    name,
    language: { code: language },
    // Meta refuses a body of no parameters.
    ...(parameters.length > 0 && { components: [body] }),
  };
}

function readError(answer: HttpAnswer): ErrorReading | null {
  const parsed = errorBody.safeParse(answer.body);
  if (!parsed.success) return null;
  const { code, message, error_data } = parsed.data.error;
  return {
    ...READING_OF_CODE.get(code),
    code,
    detail: [message, error_data?.details].filter(Boolean).join(': '),
  };
}
