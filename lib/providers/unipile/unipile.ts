import { z } from 'zod';
import { type HttpAnswer, ProviderError, unexpectedAnswer } from '../../net/http';
import { PROVIDER, passes, type UnipileOptions, unipileApi } from './unipile-api';

/**
 * How late after its call a message, or a post, can still show up where it belongs, in ms. Unipile documents no such time: a
 * cautious choice of ours. What is not there by then was not sent.
 */
export const unipileMaxLateMs = 10 * 60_000;

export interface ChatMessage {
  id: string;
  chatId: string;
  /** Empty where there is none: only an attachment, or a message that was deleted. */
  text: string;
  /** ISO 8601, UTC. */
  at: string;
  /** The account itself sent it, by us or from another device. */
  fromUs: boolean;
}

export interface Unipile {
  /**
   * Sends a text in a chat of the account's that exists. `messageId` is null where the network behind Unipile returned none.
   * @throws ProviderError
   */
  sendMessage(message: {
    accountId: string;
    chatId: string;
    text: string;
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
  /**
   * The messages of a chat from the instant `since` (ISO 8601) on, oldest first. `complete` is false where
   * there may be more of them than were read, so that what is missing here may still be there.
   * @throws ProviderError
   */
  listMessages(query: {
    accountId: string;
    chatId: string;
    since: string;
    signal?: AbortSignal;
  }): Promise<{ messages: ChatMessage[]; complete: boolean }>;
  /**
   * All chats that the account has with one person alone; none for a person whom Unipile does not know.
   * `attendeeId` is Unipile's id or the provider's.
   * @throws ProviderError
   */
  listChats(query: {
    attendeeId: string;
    accountId: string;
    signal?: AbortSignal;
  }): Promise<{ id: string }[]>;
}

/** v2 may tell several, where files went out apart from the text: the text is the first. */
const messageId = z.union([z.string(), z.array(z.string()).transform(([first]) => first)]).nullish();
const messageSent = z.object({ object: z.literal('MessageSent'), message_id: messageId });
const chatStarted = z.object({
  object: z.literal('ChatStarted'),
  chat_id: z.string().nullish(),
  message_id: messageId,
});
// Messages to people outside the network are documented to be answered as a message, not as a chat.
const startAnswer = z.union([chatStarted, messageSent.transform((sent) => ({ ...sent, chat_id: null }))]);

const listedMessage = z.object({
  id: z.string().min(1),
  text: z.string().nullish(),
  timestamp: z.string().refine((text) => !Number.isNaN(Date.parse(text)), 'is no instant'),
  is_sender: z.union([z.boolean(), z.literal(0), z.literal(1)]),
});
/** v2 tells which chats there are with a person, and no more of them. */
const listedChat = z.union([
  z.object({ id: z.string().min(1), account_id: z.string().nullish() }),
  z.object({ chat_id: z.string().min(1) }).transform(({ chat_id }) => ({ id: chat_id, account_id: null })),
]);

/** Messaging by Unipile's API. */
export function unipile(options: UnipileOptions): Unipile {
  const { version, post, readPages } = unipileApi(options);

  return {
    async sendMessage({ signal, ...message }) {
      const sent = await post(version.sendMessage(message), messageSent, signal);
      return { messageId: sent.message_id ?? null, chatId: message.chatId };
    },
    async startChat({ signal, ...message }) {
      const started = await post(version.startChat(message), startAnswer, signal);
      return { messageId: started.message_id ?? null, chatId: started.chat_id ?? null };
    },
    async listMessages({ accountId, chatId, since, signal }) {
      const sinceMs = Date.parse(since);
      // `after` leaves out the instant itself, and nobody promises that it is heeded: all is looked at again.
      const after = new Date(sinceMs - 1).toISOString();
      const found = new Map<string, ChatMessage>();
      let allReadable = true;
      const take = (items: unknown[]) => {
        const read = items.flatMap((item) => listedMessage.safeParse(item).data ?? []);
        // One that cannot be read may be the one that is looked for.
        if (read.length < items.length) allReadable = false;
        for (const { id, text, timestamp, is_sender } of read) {
          if (Date.parse(timestamp) < sinceMs) continue;
          const at = new Date(timestamp).toISOString();
          found.set(id, { id, chatId, text: text ?? '', at, fromUs: Boolean(is_sender) });
        }
        const instants = read.map(({ timestamp }) => Date.parse(timestamp));
        return passes(sinceMs, instants) ? 'enough' : 'more';
      };
      const allRead = await readPages(version.messages({ accountId, chatId, after }), take, signal);
      const messages = [...found.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
      return { messages, complete: allRead && allReadable };
    },
    async listChats({ attendeeId, accountId, signal }) {
      const found = new Set<string>();
      const take = (items: unknown[], answer: HttpAnswer) => {
        const chats = z.array(listedChat).safeParse(items);
        if (!chats.success) throw unexpectedAnswer(PROVIDER, answer);
        for (const { id, account_id } of chats.data)
          if ((account_id ?? accountId) === accountId) found.add(id);
        return 'more' as const;
      };
      const chats = version.chatsWith({ accountId, attendeeId });
      const allRead = await readPages(chats, take, signal).catch((error) => {
        if (isUnknownThere(error) && found.size === 0) return true;
        throw error;
      });
      if (!allRead) {
        const message = `${PROVIDER} has more chats with one person than were read`;
        throw new ProviderError(message, { kind: 'uncertain', provider: PROVIDER, code: 'too_many_chats' });
      }
      return [...found].map((id) => ({ id }));
    },
  };
}

/** A 404 in Unipile's own shape; one of something in between, or for a wrong account id, proves nothing. */
function isUnknownThere(error: unknown): boolean {
  return error instanceof ProviderError && error.status === 404 && error.kind === 'rejected';
}
