import { z } from 'zod';
import { type HttpResponse, ProviderError, unexpectedResponse } from '../../net/http.ts';
import { PROVIDER, reachesBefore, type UnipileOptions, unipileApi } from './unipile-api.ts';

/**
 * How long after the call a message or post can still appear in its chat or list, in milliseconds. After that it was not sent. Unipile documents no
 * such time; this is our cautious choice.
 */
export const unipileMaxLateMs = 10 * 60_000;

export interface ChatMessage {
  id: string;
  chatId: string;
  /** Empty if the message has only an attachment or was deleted. */
  text: string;
  /** ISO 8601, UTC. */
  at: string;
  /** The account itself sent it, by us or from another device. */
  fromUs: boolean;
}

export interface Unipile {
  /**
   * Sends a text in an existing chat of the account. `messageId` is null if the network behind Unipile returned none.
   * @throws ProviderError
   */
  sendMessage(message: {
    accountId: string;
    chatId: string;
    text: string;
    signal?: AbortSignal;
  }): Promise<{ messageId: string | null; chatId: string }>;
  /**
   * Sends a text to a person, in a new or the existing chat. `recipient` is the provider's id of the person. Both returned ids may be null, as
   * above.
   * @throws ProviderError
   */
  startChat(message: {
    accountId: string;
    recipient: string;
    text: string;
    signal?: AbortSignal;
  }): Promise<{ messageId: string | null; chatId: string | null }>;
  /**
   * Lists the messages of a chat from the instant `since` (ISO 8601) on, oldest first. `complete` is false if some may not have been read, so a
   * message that is not listed may still be there.
   * @throws ProviderError
   */
  listMessages(query: {
    accountId: string;
    chatId: string;
    since: string;
    signal?: AbortSignal;
  }): Promise<{ messages: ChatMessage[]; complete: boolean }>;
  /**
   * Lists all chats of the account with one person alone; none if Unipile does not know the person. `attendeeId` is Unipile's id of the person or
   * the provider's.
   * @throws ProviderError
   */
  listChats(query: {
    attendeeId: string;
    accountId: string;
    signal?: AbortSignal;
  }): Promise<{ id: string }[]>;
}

/** v2 may return several ids if files were sent separately. The first is the text's. */
const messageId = z.union([z.string(), z.array(z.string()).transform(([first]) => first)]).nullish();
const messageSent = z.object({ object: z.literal('MessageSent'), message_id: messageId });
const chatStarted = z.object({
  object: z.literal('ChatStarted'),
  chat_id: z.string().nullish(),
  message_id: messageId,
});
// By the documentation, a message to a person outside the account's network returns a message and no chat.
const startResponse = z.union([chatStarted, messageSent.transform((sent) => ({ ...sent, chat_id: null }))]);

const listedMessage = z.object({
  id: z.string().min(1),
  text: z.string().nullish(),
  timestamp: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'is not a time'),
  is_sender: z.union([z.boolean(), z.literal(0), z.literal(1)]),
});
/** v2 returns only the ids of the chats with a person. */
const listedChat = z.union([
  z.object({ id: z.string().min(1), account_id: z.string().nullish() }),
  z.object({ chat_id: z.string().min(1) }).transform(({ chat_id }) => ({ id: chat_id, account_id: null })),
]);

/** Makes a client for messages over Unipile's API. */
export function unipile(options: UnipileOptions): Unipile {
  const { version, post, readPages } = unipileApi(options);

  return {
    async sendMessage({ signal, ...message }) {
      const sent = await post(version.sendMessage(message), messageSent, signal);
      return { messageId: sent.message_id ?? null, chatId: message.chatId };
    },
    async startChat({ signal, ...message }) {
      const started = await post(version.startChat(message), startResponse, signal);
      return { messageId: started.message_id ?? null, chatId: started.chat_id ?? null };
    },
    async listMessages({ accountId, chatId, since, signal }) {
      const sinceMs = Date.parse(since);
      // `after` excludes the instant itself, and Unipile may ignore it, so the times are compared again below.
      const after = new Date(sinceMs - 1).toISOString();
      const found = new Map<string, ChatMessage>();
      let allReadable = true;
      const take = (items: unknown[]) => {
        const read = items.flatMap((item) => listedMessage.safeParse(item).data ?? []);
        // An unreadable message may be the one that the caller looks for.
        if (read.length < items.length) allReadable = false;
        for (const { id, text, timestamp, is_sender } of read) {
          if (Date.parse(timestamp) < sinceMs) continue;
          const at = new Date(timestamp).toISOString();
          found.set(id, { id, chatId, text: text ?? '', at, fromUs: Boolean(is_sender) });
        }
        const instants = read.map(({ timestamp }) => Date.parse(timestamp));
        return reachesBefore(sinceMs, instants) ? 'enough' : 'more';
      };
      const allRead = await readPages(version.messages({ accountId, chatId, after }), take, signal);
      const messages = [...found.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
      return { messages, complete: allRead && allReadable };
    },
    async listChats({ attendeeId, accountId, signal }) {
      const found = new Set<string>();
      const take = (items: unknown[], response: HttpResponse) => {
        const chats = z.array(listedChat).safeParse(items);
        if (!chats.success) throw unexpectedResponse(PROVIDER, response);
        for (const { id, account_id } of chats.data)
          if ((account_id ?? accountId) === accountId) found.add(id);
        return 'more' as const;
      };
      const chats = version.chatsWith({ accountId, attendeeId });
      const allRead = await readPages(chats, take, signal).catch((error) => {
        if (isUnknownPerson(error) && found.size === 0) return true;
        throw error;
      });
      if (!allRead) {
        const message = `${PROVIDER} lists more chats with one person than can be read`;
        throw new ProviderError(message, { kind: 'uncertain', provider: PROVIDER, code: 'too_many_chats' });
      }
      return [...found].map((id) => ({ id }));
    },
  };
}

/** Whether Unipile itself responded 404. A proxy's 404, or one for a wrong account id, proves nothing. */
function isUnknownPerson(error: unknown): boolean {
  return error instanceof ProviderError && error.status === 404 && error.kind === 'rejected';
}
