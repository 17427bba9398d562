import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type ErrorReading, type HttpAnswer, request, unexpectedAnswer } from './http';

const PROVIDER = 'unipile';

export interface Unipile {
  /**
   * Sends a text in a chat that exists. `accountId`, where it is given, makes Unipile refuse a chat of
   * another account. `messageId` is null where the network behind Unipile returned none.
   * @throws ProviderError
   */
  sendMessage(message: {
    chatId: string;
    text: string;
    accountId?: string;
    signal?: AbortSignal;
  }): Promise<{ messageId: string | null; chatId: string }>;
  /**
   * Sends a text to a person, in a new chat or the one there is. `recipient` is the provider's id of the
   * person. Both ids may be null, as above.
   * @throws ProviderError
   */
  startChat(message: {
    accountId: string;
    recipient: string;
    text: string;
    signal?: AbortSignal;
  }): Promise<{ messageId: string | null; chatId: string | null }>;
}

const messageSent = z.object({ object: z.literal('MessageSent'), message_id: z.string().nullish() });
const chatStarted = z.object({
  object: z.literal('ChatStarted'),
  chat_id: z.string().nullish(),
  message_id: z.string().nullish(),
});
// Messages to people outside the network are documented to be answered as a message, not as a chat.
const startAnswer = z.union([chatStarted, messageSent.transform((sent) => ({ ...sent, chat_id: null }))]);

const errorBody = z.object({
  type: z.string().optional(),
  title: z.string().optional(),
  detail: z.string().nullish(),
});

// 422s that are about how much was sent, not about this message.
const RATE_TYPES = new Set([
  'errors/cannot_resend_yet',
  'errors/cannot_resend_within_24hrs',
  'errors/limit_exceeded',
]);

/** Messaging by Unipile's API v1. `dsn` is a host (`api1.unipile.com:13111`) or an address with its scheme. */
export function unipile({ dsn, apiKey }: { dsn: string; apiKey: string }): Unipile {
  const base = (/^https?:\/\//i.test(dsn) ? dsn : `https://${dsn}`).replace(/\/+$/, '');

  async function post<T>(
    path: string,
    fields: Record<string, string | undefined>,
    schema: z.ZodType<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const { contentType, body } = multipart(fields);
    const answer = await request({
      provider: PROVIDER,
      method: 'POST',
      url: `${base}/api/v1${path}`,
      headers: { 'x-api-key': apiKey, accept: 'application/json', 'content-type': contentType },
      body,
      signal,
      readError,
    });
    const parsed = schema.safeParse(answer.body);
    if (!parsed.success) throw unexpectedAnswer(PROVIDER, answer);
    return parsed.data;
  }

  return {
    async sendMessage({ chatId, text, accountId, signal }) {
      const path = `/chats/${encodeURIComponent(chatId)}/messages`;
      const sent = await post(path, { account_id: accountId, text }, messageSent, signal);
      return { messageId: sent.message_id ?? null, chatId };
    },
    async startChat({ accountId, recipient, text, signal }) {
      const fields = { account_id: accountId, attendees_ids: recipient, text };
      const started = await post('/chats', fields, startAnswer, signal);
      return { messageId: started.message_id ?? null, chatId: started.chat_id ?? null };
    },
  };
}

function readError(answer: HttpAnswer): ErrorReading | null {
  const parsed = errorBody.safeParse(answer.body);
  if (!parsed.success) return null;
  const { type, title, detail } = parsed.data;
  return {
    kind: answer.status === 422 && type && RATE_TYPES.has(type) ? 'rate_limited' : undefined,
    code: type ?? null,
    detail: [title, detail].filter(Boolean).join(': '),
  };
}

/** Written out here because FormData turns every line break into CR LF, and the text must arrive as it is. */
function multipart(fields: Record<string, string | undefined>): { contentType: string; body: string } {
  const boundary = `punctual-${randomUUID()}`;
  const parts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    );
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    body: `${parts.join('')}--${boundary}--\r\n`,
  };
}
