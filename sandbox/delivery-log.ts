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
}

/** A message or a post that the sandbox really took. */
export interface Delivery extends Send {
  kind: 'message' | 'post';
  id: string;
  /** ISO 8601, UTC. */
  at: string;
}

/** What was really delivered, in order: the truth that a client's own idea of it is held against. */
export class DeliveryLog {
  readonly #all: Delivery[] = [];
  readonly #byChat = new Map<string, number[]>();
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
    const chat = chatKey(send);
    const numbers = this.#byChat.get(chat);
    if (numbers) numbers.push(number);
    else this.#byChat.set(chat, [number]);
    return delivery;
  }

  /** As LinkedIn names an activity: a number of 19 digits, always even here, so that the odd one after it is free. */
  #urn(number: number): string {
    return `urn:li:activity:${(BigInt(this.#startedMs) << 22n) + 2n * BigInt(number)}`;
  }

  all(): readonly Delivery[] {
    return this.#all;
  }

  /** What one account sent to one recipient, oldest first. */
  ofChat(chat: Pick<Send, 'provider' | 'account' | 'recipient'>): Delivery[] {
    return (this.#byChat.get(chatKey(chat)) ?? []).flatMap((number) => this.#all[number] ?? []);
  }

  /** What one account posted, oldest first. */
  postsOf(account: string): readonly Delivery[] {
    return this.#posts.get(account) ?? [];
  }

  /** Who has written to whom. */
  chats(): Pick<Send, 'provider' | 'account' | 'recipient'>[] {
    return [...this.#byChat.keys()].map((key) => {
      const [provider, account, recipient] = JSON.parse(key);
      return { provider, account, recipient };
    });
  }

  /** All of it as a JSON array, in pieces: the log of a long run need not fit into one string. */
  *json(): Generator<string> {
    const step = 1000;
    yield '[';
    for (let start = 0; start < this.#all.length; start += step) {
      const piece = this.#all.slice(start, start + step).map((delivery) => JSON.stringify(delivery));
      yield (start === 0 ? '' : ',') + piece.join(',\n');
    }
    yield ']\n';
  }
}

const prefixes = { unipile: 'msg_', 'whatsapp-cloud': 'wamid.' } as const;

function chatKey({ provider, account, recipient }: Pick<Send, 'provider' | 'account' | 'recipient'>): string {
  return JSON.stringify([provider, account, recipient]);
}
