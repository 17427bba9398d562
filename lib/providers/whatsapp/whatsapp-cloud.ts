import { z } from 'zod';
import {
  type ErrorReading,
  type HttpRequest,
  type HttpResponse,
  request,
  unexpectedResponse,
} from '../../net/http.ts';
import { whatsappCodes } from './whatsapp-codes.ts';
import type { WhatsappTemplate } from './whatsapp-template.ts';

const PROVIDER = 'whatsapp-cloud';

interface Message {
  phoneNumberId: string;
  /** A phone number in international form, or a business-scoped user id, for example `US.13491208655302741918`. */
  to: string;
  /** The status webhooks echo it (`biz_opaque_callback_data`). So they reconcile an uncertain send. */
  reference: string;
  signal?: AbortSignal;
}

export interface WhatsappCloud {
  /**
   * Sends a text. WhatsApp accepts it only within 24 hours after the person last wrote.
   * @throws ProviderError
   */
  sendText(message: Message & { text: string }): Promise<{ messageId: string }>;
  /**
   * Sends an approved template. WhatsApp accepts it at any time.
   * @throws ProviderError
   */
  sendTemplate(message: Message & { template: WhatsappTemplate }): Promise<{ messageId: string }>;
}

const sentResponse = z.object({ messages: z.tuple([z.object({ id: z.string().min(1) })], z.unknown()) });

const errorBody = z.object({
  error: z.object({
    code: z.number(),
    error_subcode: z.number().optional().catch(undefined),
    message: z.string().optional(),
    error_data: z.object({ details: z.string().optional() }).optional().catch(undefined),
  }),
});

/**
 * Makes a client of Meta's WhatsApp Cloud API. `apiVersion` is the Graph API's, for example `v23.0`; `baseUrl` is `https://graph.facebook.com` by
 * default.
 */
export function whatsappCloud(options: {
  accessToken: string;
  apiVersion: string;
  baseUrl?: string;
}): WhatsappCloud {
  const base = (options.baseUrl ?? 'https://graph.facebook.com').replace(/\/+$/, '');

  async function send(
    { phoneNumberId, to, reference, signal }: Message,
    content: object,
    privateTexts: string[],
  ) {
    const call: HttpRequest = {
      provider: PROVIDER,
      method: 'POST',
      url: `${base}/${options.apiVersion}/${encodeURIComponent(phoneNumberId)}/messages`,
      headers: { authorization: `Bearer ${options.accessToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        messaging_product: 'whatsapp',
        recipient_type: 'individual',
        ...(isUserId(to) ? { recipient: to } : { to }),
        ...content,
        biz_opaque_callback_data: reference,
      }),
      privateTexts,
      signal,
      readError,
    };
    const response = await request(call);
    const parsed = sentResponse.safeParse(response.body);
    if (!parsed.success) throw unexpectedResponse(PROVIDER, response, call);
    return { messageId: parsed.data.messages[0].id };
  }

  return {
    sendText: ({ text, ...message }) => send(message, { type: 'text', text: { body: text } }, [text]),
    sendTemplate: ({ template, ...message }) =>
      send(message, { type: 'template', template: templateObject(template) }, template.parameters),
  };
}

/** A business-scoped user id has a country code, a dot and an id. */
const isUserId = (to: string) => /^[A-Z]{2}\./.test(to);

function templateObject({ name, language, parameters }: WhatsappTemplate) {
  const body = { type: 'body', parameters: parameters.map((text) => ({ type: 'text', text })) };
  return {
    name,
    language: { code: language },
    // Meta refuses a body component without parameters.
    ...(parameters.length > 0 && { components: [body] }),
  };
}

function readError(response: HttpResponse): ErrorReading | null {
  const parsed = errorBody.safeParse(response.body);
  if (!parsed.success) return null;
  const { code, error_subcode, message, error_data } = parsed.data.error;
  return {
    ...whatsappCodes.get(code === 100 && error_subcode === 33 ? 33 : code),
    code,
    detail: [message, error_data?.details].filter(Boolean).join(': '),
  };
}
