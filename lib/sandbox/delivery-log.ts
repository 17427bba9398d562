/** A message or post that a client sends. */
export interface Send {
  /** `message` by default. */
  kind?: 'message' | 'post';
  provider: 'unipile' | 'whatsapp-cloud';
  /** The sender: the Unipile account, or the WhatsApp phone number id. */
  account: string;
  /** `profile` for a post. */
  recipient: string;
  text: string;
  /** A post's number of pictures and videos. */
  media?: number;
  /** WhatsApp's `biz_opaque_callback_data`. */
  reference?: string;
  /** A WhatsApp template. `text` then describes it for readers. */
  template?: { name: string; language: string; parameters: string[] };
}

/** A message or post that the sandbox delivered. */
export interface Delivery extends Send {
  kind: 'message' | 'post';
  id: string;
  /** ISO 8601, UTC. */
  at: string;
}

/** The two sides of a chat. */
export type Chat = Pick<Send, 'provider' | 'account' | 'recipient'>;

/** A message from the recipient to the account. */
export interface Reply extends Chat {
  kind: 'reply';
  id: string;
  text: string;
  /** ISO 8601, UTC. */
  at: string;
  /** When its webhook was accepted. */
  reported_at: string | null;
}

/** All deliveries and replies, in order. Tests compare a client's records with it. */
export class DeliveryLog {
  readonly #all: Delivery[] = [];
  readonly #replies: Reply[] = [];
  readonly #byChat = new Map<string, (Delivery | Reply)[]>();
  readonly #lastReplyMs = new Map<string, number>();
  readonly #posts = new Map<string, Delivery[]>();
  // Part of each id, so that a restarted sandbox repeats no ids.
  readonly #startedMs = Date.now();
  readonly #run = this.#startedMs.toString(36);

  /** Records a delivery. */
  take(send: Send): Delivery {
    const number = this.#all.length;
    const { kind = 'message' } = send;
    const id = kind === 'post' ? this.#urn(number) : `${prefixes[send.provider]}${this.#run}_${number}`;
    const delivery: Delivery = { id, ...send, kind, at: new Date().toISOString() };
    this.#all.push(delivery);
    if (kind === 'post') {
      const posts = this.#posts.get(send.account);
      if (posts) posts.push(delivery);
      else this.#posts.set(send.account, [delivery]);
      return delivery;
    }
    this.#keep(delivery);
    return delivery;
  }

  /** Records a reply. */
  addReply(chat: Chat, text: string): Reply {
    const id = `${prefixes[chat.provider]}${this.#run}_r${this.#replies.length}`;
    const reply: Reply = {
      kind: 'reply',
      id,
      ...chat,
      text,
      at: new Date().toISOString(),
      reported_at: null,
    };
    this.#replies.push(reply);
    this.#lastReplyMs.set(chatKey(chat), Date.parse(reply.at));
    this.#keep(reply);
    return reply;
  }

  #keep(entry: Delivery | Reply): void {
    const entries = this.#byChat.get(chatKey(entry));
    if (entries) entries.push(entry);
    else this.#byChat.set(chatKey(entry), [entry]);
  }

  /** Returns a LinkedIn activity URN with 19 digits. Its number is even here, so the odd one after it is free for the share. */
  #urn(number: number): string {
    return `urn:li:activity:${(BigInt(this.#startedMs) << 22n) + 2n * BigInt(number)}`;
  }

  all(): readonly Delivery[] {
    return this.#all;
  }

  /** All replies, oldest first. */
  replies(): readonly Reply[] {
    return this.#replies;
  }

  /** When the recipient last wrote, in milliseconds since 1970; null if never. */
  lastReplyMs(chat: Chat): number | null {
    return this.#lastReplyMs.get(chatKey(chat)) ?? null;
  }

  /** The messages and replies of a chat, oldest first. */
  ofChat(chat: Chat): readonly (Delivery | Reply)[] {
    return this.#byChat.get(chatKey(chat)) ?? [];
  }

  /** An account's posts, oldest first. */
  postsOf(account: string): readonly Delivery[] {
    return this.#posts.get(account) ?? [];
  }

  /** All chats with a message or reply. */
  chats(): Chat[] {
    return [...this.#byChat.keys()].map((key) => {
      const [provider, account, recipient] = JSON.parse(key);
      return { provider, account, recipient };
    });
  }
}

/** Serializes a log as a JSON array, in pieces, because the log of a long run may not fit into one string. */
export function* logJson(all: readonly object[]): Generator<string> {
  const step = 1000;
  yield '[';
  for (let start = 0; start < all.length; start += step) {
    const piece = all.slice(start, start + step).map((entry) => JSON.stringify(entry));
    yield (start === 0 ? '' : ',') + piece.join(',\n');
  }
  yield ']\n';
}

const prefixes = { unipile: 'msg_', 'whatsapp-cloud': 'wamid.' } as const;

function chatKey({ provider, account, recipient }: Chat): string {
  return JSON.stringify([provider, account, person({ provider, recipient })]);
}

/** Returns one key for a recipient. On WhatsApp a person may appear as a number, with or without a plus, or as a user id. */
export function person({ provider, recipient }: Pick<Chat, 'provider' | 'recipient'>): string {
  if (provider !== 'whatsapp-cloud') return recipient;
  return isUserId(recipient) ? reverse(recipient.slice(USER_ID_PREFIX.length)) : recipient.replace(/\D/g, '');
}

const USER_ID_PREFIX = 'US.9';
const reverse = (text: string) => [...text].reverse().join('');

/** Returns the business-scoped user id of a WhatsApp number. It does not contain the number. */
export const userIdOf = (number: string) => `${USER_ID_PREFIX}${reverse(number.replace(/\D/g, ''))}`;

export const isUserId = (recipient: string) => recipient.startsWith(USER_ID_PREFIX);
