import { z } from 'zod';
import { type ErrorReading, type HttpAnswer, request, unexpectedAnswer } from './http';

const PROVIDER = 'whatsapp-cloud';

export interface WhatsappCloud {
  /**
   * Sends a text. `to` is a phone number in international form. `reference` comes back in the status
   * webhooks (`biz_opaque_callback_data`), which is how an uncertain send is reconciled.
   * @throws ProviderError
   */
  sendText(message: {
    phoneNumberId: string;
    to: string;
    text: string;
    reference: string;
    signal?: AbortSignal;
  }): Promise<{ messageId: string }>;
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
 * though many guides call it a rate limit.
 */
const READING_OF_CODE = new Map<number, ErrorReading>([
  [4, { kind: 'rate_limited' }],
  [80007, { kind: 'rate_limited' }],
  [130429, { kind: 'rate_limited' }],
  [131056, { kind: 'rate_limited', scope: 'pair' }],
  [131048, { kind: 'rate_limited', retryAfterSeconds: DAY_SECONDS }],
  [131051, { kind: 'rejected' }],
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
  return {
    async sendText({ phoneNumberId, to, text, reference, signal }) {
      const answer = await request({
        provider: PROVIDER,
        method: 'POST',
        url: `${base}/${options.apiVersion}/${encodeURIComponent(phoneNumberId)}/messages`,
        headers: { authorization: `Bearer ${options.accessToken}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          messaging_product: 'whatsapp',
          recipient_type: 'individual',
          to,
          type: 'text',
          text: { body: text },
          biz_opaque_callback_data: reference,
        }),
        signal,
        readError,
      });
      const parsed = sentAnswer.safeParse(answer.body);
      if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
      return { messageId: parsed.data.messages[0].id };
    },
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
