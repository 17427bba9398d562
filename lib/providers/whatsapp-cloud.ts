import { z } from 'zod';
import {
  type ErrorReading,
  type HttpAnswer,
  type ProviderErrorKind,
  request,
  unexpectedAnswer,
} from './http';

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

/**
 * Codes that say what happened whatever the status is; any other code leaves it to the status. 131048
 * looks like a rate limit but is the spam limit: going on makes it worse. 131051 is "unsupported message
 * type", though many guides call it a rate limit.
 */
const KIND_OF_CODE = new Map<number, ProviderErrorKind>([
  [4, 'rate_limited'],
  [80007, 'rate_limited'],
  [130429, 'rate_limited'],
  [131056, 'rate_limited'],
  [131048, 'rejected'],
  [131051, 'rejected'],
  [190, 'unauthorised'],
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
    kind: KIND_OF_CODE.get(code),
    code,
    detail: [message, error_data?.details].filter(Boolean).join(': '),
  };
}
