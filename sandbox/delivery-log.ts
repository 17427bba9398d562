/** A message or a post that a shape of the sandbox was asked to deliver. */
export interface Send {
  /** A message unless it says otherwise. */
  kind?: 'message' | 'post';
  provider: 'unipile' | 'whatsapp-cloud';
  /** Who it is sent as: the Unipile account, or the WhatsApp phone number id. */
  account: string;
  /** Of a post, where it stands: `profile`. */
  recipient: string;
  text: string;
  /** Of a post: how many pictures and videos came with it. */
  media?: number;
  /** WhatsApp's `biz_opaque_callback_data`. */
  reference?: string;
  /** Of a WhatsApp template; `text` then tells it for a reader. */
  template?: { name: string; language: string; parameters: string[] };
}

/** A message or a post that the sandbox really took. */
export interface Delivery extends Send {
  kind: 'message' | 'post';
  id: string;
  /** ISO 8601, UTC. */
  at: string;
}

/** The two sides of a chat. */
export type Chat = Pick<Send, 'provider' | 'account' | 'recipient'>;

/** What the recipient wrote to the account. */
export interface Reply extends Chat {
  kind: 'reply';
  id: string;
  text: string;
  /** ISO 8601, UTC. */
  at: string;
  /** When the webhook of it was taken. */
  told_at: string | null;
}

/** What was really delivered, and what people wrote, in order: the truth that a client's own idea of it is held against. */
export class DeliveryLog {
  readonly #all: Delivery[] = [];
  readonly #replies: Reply[] = [];
  readonly #byChat = new Map<string, (Delivery | Reply)[]>();
  readonly #heardMs = new Map<string, number>();
  readonly #posts = new Map<string, Delivery[]>();
  // A sandbox started anew must not repeat the ids that an earlier one gave out.
  readonly #startedMs = Date.now();
  readonly #run = this.#startedMs.toString(36);

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

  /** Somebody wrote. */
  hear(chat: Chat, text: string): Reply {
    const id = `${prefixes[chat.provider]}${this.#run}_r${this.#replies.length}`;
    const reply: Reply = { kind: 'reply', id, ...chat, text, at: new Date().toISOString(), told_at: null };
    this.#replies.push(reply);
    this.#heardMs.set(chatKey(chat), Date.parse(reply.at));
    this.#keep(reply);
    return reply;
  }

  #keep(entry: Delivery | Reply): void {
    const entries = this.#byChat.get(chatKey(entry));
    if (entries) entries.push(entry);
    else this.#byChat.set(chatKey(entry), [entry]);
  }

  /** As LinkedIn names an activity: a number of 19 digits, always even here, so that the odd one after it is free. */
  #urn(number: number): string {
    return `urn:li:activity:${(BigInt(this.#startedMs) << 22n) + 2n * BigInt(number)}`;
  }

  all(): readonly Delivery[] {
    return this.#all;
  }

  /** What people wrote, oldest first. */
  replies(): readonly Reply[] {
    return this.#replies;
  }

  /** When the recipient last wrote, in milliseconds since the epoch; null where that never was. */
  heardMs(chat: Chat): number | null {
    return this.#heardMs.get(chatKey(chat)) ?? null;
  }

  /** What went to and fro between the two, oldest first. */
  ofChat(chat: Chat): readonly (Delivery | Reply)[] {
    return this.#byChat.get(chatKey(chat)) ?? [];
  }

  /** What one account posted, oldest first. */
  postsOf(account: string): readonly Delivery[] {
    return this.#posts.get(account) ?? [];
  }

  /** Who has written to whom. */
  chats(): Chat[] {
    return [...this.#byChat.keys()].map((key) => {
      const [provider, account, recipient] = JSON.parse(key);
      return { provider, account, recipient };
    });
  }
}

/** A log as a JSON array, in pieces: that of a long run need not fit into one string. */
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

/** One name for a recipient, who over WhatsApp may be written with a plus or without, or by the user id. */
export function person({ provider, recipient }: Pick<Chat, 'provider' | 'recipient'>): string {
  if (provider !== 'whatsapp-cloud') return recipient;
  return isUserId(recipient) ? reverse(recipient.slice(USER_ID_PREFIX.length)) : recipient.replace(/\D/g, '');
}

const USER_ID_PREFIX = 'US.9';
const reverse = (text: string) => [...text].reverse().join('');

/** The business-scoped user id of a WhatsApp number: no part of it is the number. */
export const userIdOf = (number: string) => `${USER_ID_PREFIX}${reverse(number.replace(/\D/g, ''))}`;

export const isUserId = (recipient: string) => recipient.startsWith(USER_ID_PREFIX);
