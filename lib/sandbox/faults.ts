import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Send } from './delivery-log.ts';

const milliseconds = z.number().int().min(0).max(600_000);
const share = z.number().min(0).max(1);

export const faultSettings = z.strictObject({
  /** The least and most milliseconds between a request and its turn. */
  latencyMs: z.tuple([milliseconds, milliseconds]).refine(([min, max]) => min <= max, 'min > max'),
  /** The share of messages that get a 429 with a retry-after of 1 to 3 s. They are not delivered. */
  rateLimited: share,
  /** The share of messages whose connection is dropped without a response, half of them before delivery and half after. */
  lost: share,
  /** Accounts that the provider has restricted. It delivers none of their messages. */
  restricted: z.array(z.string()),
  /** Accounts that must be connected again. The provider delivers none of their messages. */
  disconnected: z.array(z.string()),
});

export type FaultSettings = z.infer<typeof faultSettings>;

/** Limits that a directive in a text can name: WhatsApp's error codes, and names for Unipile's error types. */
const LIMITS = {
  'whatsapp-cloud': ['131056', '131048', '130429', '80007', '131051'],
  unipile: ['limit', 'resend-yet'],
} as const;

export type Limit = (typeof LIMITS)[keyof typeof LIMITS][number];

/** The fate of one message at its turn. `taken` says whether it is delivered. */
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
 * Decides which faults happen. Chance depends on the seed, the message and its number of attempts, and not on the order of arrival. So a run with
 * many parallel connections repeats, too.
 */
export class Faults {
  settings: FaultSettings;
  readonly #seed: number;
  readonly #seen = new Map<string, number>();
  #lost = 0;

  readonly #steady: Set<string>;

  /** `steady` accounts have no faults by chance. */
  constructor(seed: number, settings: FaultSettings, steady: string[] = []) {
    this.#seed = seed;
    this.settings = settings;
    this.#steady = new Set(steady);
  }

  /** Draws the fate of `send`. If its shape has `refused` it already, draws only the latency. */
  next(send: Send, refused = false): Turn {
    const { times, chance, latency, pause } = this.#draw(send);
    const [min, max] = this.settings.latencyMs;
    const waitMs = slowness(send.text) ?? Math.round(min + latency * (max - min));
    if (refused) return { waitMs, fault: { kind: 'refused', taken: false } };
    if (this.settings.restricted.includes(send.account))
      return { waitMs, fault: { kind: 'restricted', taken: false } };
    if (this.settings.disconnected.includes(send.account))
      return { waitMs, fault: { kind: 'disconnected', taken: false } };
    const directed = (times === 1 && limitDirective(send)) || directive(send.text);
    if (directed) return { waitMs, fault: directed };
    const { rateLimited, lost } = this.#steady.has(send.account)
      ? { rateLimited: 0, lost: 0 }
      : this.settings;
    if (chance < rateLimited) {
      return { waitMs, fault: { kind: 'rate limited', taken: false, seconds: 1 + Math.floor(pause * 3) } };
    }
    if (chance < rateLimited + lost) {
      // Alternates, so that both halves occur.
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
 * Returns the limit that the text names: `[[131056]]`, `[[131048]]`, `[[130429]]`, `[[80007]]` and `[[131051]]` on WhatsApp, `[[limit]]` and
 * `[[resend-yet]]` on Unipile. The message is not delivered. Applies to the first attempt only, because retries would never end otherwise.
 */
function limitDirective({ provider, text }: Send): Fault | null {
  const limit = LIMITS[provider].find((name) => text.includes(`[[${name}]]`));
  return limit ? { kind: 'limited', taken: false, limit } : null;
}

/**
 * Returns the fault that the text names, so that a test can decide the fate of one message:
 * - not delivered: `[[hang]]`, `[[drop-before]]`, `[[500]]`, `[[html]]`, `[[429:SECONDS]]`
 * - delivered: `[[hang-after]]`, `[[drop-after]]`, `[[500-after]]`, `[[html-after]]`, `[[trickle]]`
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
