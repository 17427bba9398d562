import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Send } from './delivery-log';

const milliseconds = z.number().int().min(0).max(600_000);
const share = z.number().min(0).max(1);

export const faultSettings = z.strictObject({
  /** Least and most milliseconds between a request and its turn. */
  latencyMs: z.tuple([milliseconds, milliseconds]).refine(([least, most]) => least <= most, 'least > most'),
  /** Share of messages answered by 429 with a retry-after of 1 to 3 s. Not taken. */
  rateLimited: share,
  /** Share of messages whose answer is lost: half of them before they are taken, half after. */
  lost: share,
  /** Accounts that the provider has restricted: nothing is taken of them. */
  restricted: z.array(z.string()),
  /** Accounts that have to be connected again: nothing is taken of them. */
  disconnected: z.array(z.string()),
});

export type FaultSettings = z.infer<typeof faultSettings>;

/** Limits that a text can ask for, by provider: WhatsApp's error codes, and names for Unipile's error types. */
const LIMITS = {
  'whatsapp-cloud': ['131056', '131048', '130429', '80007', '131051'],
  unipile: ['limit', 'resend-yet'],
} as const;

export type Limit = (typeof LIMITS)[keyof typeof LIMITS][number];

/** What becomes of one message when its turn comes. `taken` says whether it is delivered. */
export type Fault =
  | { kind: 'none' | 'trickle'; taken: true }
  | { kind: 'refused' | 'restricted' | 'disconnected'; taken: false }
  | { kind: 'rate limited'; taken: false; seconds: number }
  | { kind: 'limited'; taken: false; limit: Limit }
  | { kind: 'dropped' | 'error' | 'hang' | 'html'; taken: boolean };

export interface Turn {
  waitMs: number;
  fault: Fault;
}

/**
 * Decides what goes wrong. Chance is drawn from the seed, the message and how often it was seen, not from
 * the order of arrival, so that a run with many connections at once repeats too.
 */
export class Faults {
  settings: FaultSettings;
  readonly #seed: number;
  readonly #seen = new Map<string, number>();
  #lost = 0;

  readonly #steady: Set<string>;

  /** Nothing goes wrong for a `steady` account by chance. */
  constructor(seed: number, settings: FaultSettings, steady: string[] = []) {
    this.#seed = seed;
    this.settings = settings;
    this.#steady = new Set(steady);
  }

  /** What becomes of `send`, which its shape may have `refused` already: then only the latency is drawn. */
  next(send: Send, refused = false): Turn {
    const { times, chance, latency, pause } = this.#draw(send);
    const [least, most] = this.settings.latencyMs;
    const waitMs = slowness(send.text) ?? Math.round(least + latency * (most - least));
    if (refused) return { waitMs, fault: { kind: 'refused', taken: false } };
    if (this.settings.restricted.includes(send.account))
      return { waitMs, fault: { kind: 'restricted', taken: false } };
    if (this.settings.disconnected.includes(send.account))
      return { waitMs, fault: { kind: 'disconnected', taken: false } };
    const told = (times === 1 && limitDirective(send)) || directive(send.text);
    if (told) return { waitMs, fault: told };
    const { rateLimited, lost } = this.#steady.has(send.account)
      ? { rateLimited: 0, lost: 0 }
      : this.settings;
    if (chance < rateLimited) {
      return { waitMs, fault: { kind: 'rate limited', taken: false, seconds: 1 + Math.floor(pause * 3) } };
    }
    if (chance < rateLimited + lost) {
      // By turns, so that neither half is left to chance.
      this.#lost += 1;
      return { waitMs, fault: { kind: 'dropped', taken: this.#lost % 2 === 0 } };
    }
    return { waitMs, fault: { kind: 'none', taken: true } };
  }

  #draw(send: Send): { times: number; chance: number; latency: number; pause: number } {
    const message = [this.#seed, send.provider, send.account, send.recipient, send.text];
    const key = createHash('sha256').update(JSON.stringify(message)).digest('base64');
    const times = (this.#seen.get(key) ?? 0) + 1;
    this.#seen.set(key, times);
    const bytes = createHash('sha256').update(`${key} ${times}`).digest();
    const fraction = (offset: number) => bytes.readUInt32BE(offset) / 2 ** 32;
    return { times, chance: fraction(0), latency: fraction(4), pause: fraction(8) };
  }
}

function slowness(text: string): number | null {
  const match = /\[\[slow:(\d{1,6})\]\]/.exec(text);
  return match ? Number(match[1]) : null;
}

/**
 * A limit that the text asks for: `[[131056]]`, `[[131048]]`, `[[130429]]`, `[[80007]]` and `[[131051]]` over
 * WhatsApp, `[[limit]]` and `[[resend-yet]]` over Unipile. Not taken, and only once: a message that always met
 * its limit would go round for ever.
 */
function limitDirective({ provider, text }: Send): Fault | null {
  const limit = LIMITS[provider].find((name) => text.includes(`[[${name}]]`));
  return limit ? { kind: 'limited', taken: false, limit } : null;
}

/**
 * What the text itself asks for, so that a test decides the fate of one message: `[[hang]]`,
 * `[[drop-before]]`, `[[500]]` and `[[html]]` are not taken; `[[hang-after]]`, `[[drop-after]]`,
 * `[[500-after]]` and `[[html-after]]` are, and so is `[[trickle]]`. `[[429:SECONDS]]` is not.
 */
function directive(text: string): Fault | null {
  const limited = /\[\[429:(\d{1,6})\]\]/.exec(text);
  if (limited) return { kind: 'rate limited', taken: false, seconds: Number(limited[1]) };
  const match = /\[\[(hang|drop|500|html|trickle)(-before|-after)?\]\]/.exec(text);
  switch (match?.[1]) {
    case 'hang':
      return { kind: 'hang', taken: match[2] === '-after' };
    case 'drop':
      return { kind: 'dropped', taken: match[2] === '-after' };
    case '500':
      return { kind: 'error', taken: match[2] === '-after' };
    case 'html':
      return { kind: 'html', taken: match[2] === '-after' };
    case 'trickle':
      return { kind: 'trickle', taken: true };
    default:
      return null;
  }
}
