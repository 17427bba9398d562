/** A message that a shape of the sandbox was asked to deliver. */
export interface Send {
  provider: 'unipile' | 'whatsapp-cloud';
  /** Who it is sent as: the Unipile account, or the WhatsApp phone number id. */
  account: string;
  recipient: string;
  text: string;
  /** WhatsApp's `biz_opaque_callback_data`. */
  reference?: string;
}

/** A message that the sandbox really took. */
export interface Delivery extends Send {
  id: string;
  /** ISO 8601, UTC. */
  at: string;
}

/** What was really delivered, in order: the truth that a client's own idea of it is held against. */
export class DeliveryLog {
  readonly #all: Delivery[] = [];
  readonly #byChat = new Map<string, number[]>();
  // A sandbox started anew must not repeat the ids that an earlier one gave out.
  readonly #run = Date.now().toString(36);

  take(send: Send): Delivery {
    const number = this.#all.length;
    const prefix = send.provider === 'unipile' ? 'msg_' : 'wamid.';
    const delivery = { id: `${prefix}${this.#run}_${number}`, ...send, at: new Date().toISOString() };
    this.#all.push(delivery);
    const chat = chatKey(send);
    const numbers = this.#byChat.get(chat);
    if (numbers) numbers.push(number);
    else this.#byChat.set(chat, [number]);
    return delivery;
  }

  all(): readonly Delivery[] {
    return this.#all;
  }

  /** What one account sent to one recipient, oldest first. */
  ofChat(chat: Pick<Send, 'provider' | 'account' | 'recipient'>): Delivery[] {
    return (this.#byChat.get(chatKey(chat)) ?? []).flatMap((number) => this.#all[number] ?? []);
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

function chatKey({ provider, account, recipient }: Pick<Send, 'provider' | 'account' | 'recipient'>): string {
  return JSON.stringify([provider, account, recipient]);
}
