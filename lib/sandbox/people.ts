import { createHash } from 'node:crypto';
import { type Chat, type Delivery, person } from './delivery-log.ts';

export interface PeopleSettings {
  /** The shares of people who reply to every message, to every second one, to every third one, and so on. The rest never reply. */
  shares: number[];
  /** The least and most milliseconds before a reply; 1000 to 4000 by default. */
  delayMs?: [number, number];
  /** The accounts that get replies: Unipile accounts and WhatsApp phone number ids. All by default. */
  accounts?: string[];
}

const replies = [
  'Thanks for asking, quite well!',
  'Good question. About seven, I would say.',
  'Better than yesterday 🙂',
  'Yes, let us talk on Thursday.',
  'Not today, I am afraid.',
  'I had to think about that one. Mostly in the mornings.',
];

/**
 * Returns the number of messages after which a person replies: 1, 2, …; null for one who never replies. Depends on the seed and the person only,
 * so that a run repeats.
 */
export function patienceOf(
  seed: number,
  recipient: Pick<Chat, 'provider' | 'recipient'>,
  shares: number[],
): number | null {
  let left = draw(seed, recipient.provider, person(recipient));
  for (const [index, share] of shares.entries()) {
    if (left < share) return index + 1;
    left -= share;
  }
  return null;
}

/** The people who get messages and reply. */
export class People {
  readonly #seed: number;
  readonly #settings: PeopleSettings;
  readonly #write: (chat: Chat, text: string) => void;
  readonly #got = new Map<string, number>();
  readonly #waiting = new Set<NodeJS.Timeout>();

  constructor(seed: number, settings: PeopleSettings, write: (chat: Chat, text: string) => void) {
    this.#seed = seed;
    this.#settings = settings;
    this.#write = write;
  }

  /** Plans the reply to a delivery, if the person replies to it. */
  read({ provider, account, recipient }: Delivery): void {
    const { shares, delayMs = [1_000, 4_000], accounts } = this.#settings;
    if (accounts && !accounts.includes(account)) return;
    const chat = { provider, account, recipient };
    const patience = patienceOf(this.#seed, chat, shares);
    const key = JSON.stringify([provider, account, person(chat)]);
    const got = (this.#got.get(key) ?? 0) + 1;
    this.#got.set(key, got);
    if (patience === null || got % patience !== 0) return;
    const chance = (purpose: string) => draw(this.#seed, purpose, key, got);
    const text = replies[Math.floor(chance('text') * replies.length)] ?? '';
    const [min, max] = delayMs;
    const timer = setTimeout(
      () => {
        this.#waiting.delete(timer);
        this.#write(chat, text);
      },
      min + chance('delay') * (max - min),
    );
    this.#waiting.add(timer);
  }

  /** Cancels all planned replies. */
  close(): void {
    for (const timer of this.#waiting) clearTimeout(timer);
  }
}

/** Returns a number from 0 to 1, excluding 1, that depends on `from` only. */
function draw(...from: unknown[]): number {
  return createHash('sha256').update(JSON.stringify(from)).digest().readUInt32BE(0) / 2 ** 32;
}
