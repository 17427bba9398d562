import { createHash } from 'node:crypto';
import { type Chat, type Delivery, person } from './delivery-log';

export interface PeopleSettings {
  /** Shares of people: who answers every message, who answers every second one, every third, and so on. The rest never answers. */
  shares: number[];
  /** Least and most milliseconds before an answer. 1000 to 4000 unless given. */
  delayMs?: [number, number];
  /** Whom they answer: Unipile accounts and WhatsApp phone number ids. All unless given. */
  accounts?: string[];
}

const answers = [
  'Thanks for asking, quite well!',
  'Good question. About seven, I would say.',
  'Better than yesterday 🙂',
  'Yes, let us talk on Thursday.',
  'Not today, I am afraid.',
  'I had to think about that one. Mostly in the mornings.',
];

/**
 * Of how many messages somebody answers the last: 1, 2, …; null for one who never answers. Drawn from the seed and who it is, so that a
 * run repeats.
 */
export function patienceOf(
  seed: number,
  who: Pick<Chat, 'provider' | 'recipient'>,
  shares: number[],
): number | null {
  let left = draw(seed, who.provider, person(who));
  for (const [index, share] of shares.entries()) {
    if (left < share) return index + 1;
    left -= share;
  }
  return null;
}

/** Those who are written to, and write back. */
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

  /** Somebody got a message, and may answer it. */
  read({ provider, account, recipient }: Delivery): void {
    const { shares, delayMs = [1_000, 4_000], accounts } = this.#settings;
    if (accounts && !accounts.includes(account)) return;
    const chat = { provider, account, recipient };
    const patience = patienceOf(this.#seed, chat, shares);
    const key = JSON.stringify([provider, account, person(chat)]);
    const got = (this.#got.get(key) ?? 0) + 1;
    this.#got.set(key, got);
    if (patience === null || got % patience !== 0) return;
    const chance = (what: string) => draw(this.#seed, what, key, got);
    const text = answers[Math.floor(chance('text') * answers.length)] ?? '';
    const [least, most] = delayMs;
    const timer = setTimeout(
      () => {
        this.#waiting.delete(timer);
        this.#write(chat, text);
      },
      least + chance('delay') * (most - least),
    );
    this.#waiting.add(timer);
  }

  /** Nobody answers any more. */
  close(): void {
    for (const timer of this.#waiting) clearTimeout(timer);
  }
}

/** From 0 to 1, without 1. */
function draw(...from: unknown[]): number {
  return createHash('sha256').update(JSON.stringify(from)).digest().readUInt32BE(0) / 2 ** 32;
}
