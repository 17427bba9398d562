import type { Delivery, Reply } from './delivery-log';
import { accountStatusEvent, receivedEvent } from './shapes/unipile-shape';
import { newMessageEvent, signatureV2, statusEventV2 } from './shapes/unipile-v2-shape';
import { inboundEvent, signature, statusEvent } from './shapes/whatsapp-shape';

export interface WebhookSettings {
  whatsapp?: { url: string; appSecret: string };
  /** `version`: v1 unless given. */
  unipile?: { url: string; secret: string; version?: 'v1' | 'v2' };
  /** Least and most milliseconds between a message, or the event before, and an event. 100 to 1500 unless given. */
  delayMs?: [number, number];
  /** Milliseconds before the first repetition; each later one is twice as long. 1000 unless given. */
  pauseMs?: number;
  /** Told of each event that was given up. */
  onGivenUp?: (url: string, reason: string) => void;
}

interface Event {
  url: string;
  headers: Record<string, string>;
  body: string;
  onTold?: () => void;
}

const MOST_REPETITIONS = 5;
const ANSWER_WITHIN_MS = 30_000;

/** Tells what became of messages, and what people wrote, as the providers do: late, and again where the answer is not 200. Nobody waits for it. */
export class Webhooks {
  readonly #settings: WebhookSettings;
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #closed = new AbortController();

  constructor(settings: WebhookSettings) {
    this.#settings = settings;
  }

  /** WhatsApp: `sent`, then `delivered`. Unipile: `message_received` or `message.new`, as of every message in a chat. */
  announce(delivery: Delivery): void {
    if (delivery.provider === 'unipile')
      this.#plan(this.#byUnipile(receivedEvent, newMessageEvent, delivery));
    else {
      this.#plan(
        (['sent', 'delivered'] as const).flatMap((status) => this.#byWhatsapp(statusEvent(delivery, status))),
      );
    }
  }

  /** What somebody wrote. Its `told_at` is set once that was taken. */
  announceReply(reply: Reply): void {
    const events =
      reply.provider === 'unipile'
        ? this.#byUnipile(receivedEvent, newMessageEvent, reply)
        : this.#byWhatsapp(inboundEvent(reply));
    const onTold = () => {
      reply.told_at ??= new Date().toISOString();
    };
    this.#plan(events.map((event) => ({ ...event, onTold })));
  }

  /** An account of Unipile's was disconnected, or is connected again. */
  announceStatus(account: string, connected: boolean): void {
    this.#plan(this.#byUnipile(accountStatusEvent, statusEventV2, account, connected));
  }

  #byUnipile<Of extends unknown[]>(v1: (...of: Of) => object, v2: (...of: Of) => object, ...of: Of): Event[] {
    const { unipile } = this.#settings;
    if (!unipile) return [];
    const { url, secret } = unipile;
    if (unipile.version !== 'v2')
      return [{ url, headers: { 'unipile-auth': secret }, body: JSON.stringify(v1(...of)) }];
    const body = JSON.stringify(v2(...of));
    return [{ url, headers: { 'unipile-signature': signatureV2(body, secret) }, body }];
  }

  #byWhatsapp(told: object): Event[] {
    const { whatsapp } = this.#settings;
    if (!whatsapp) return [];
    const body = JSON.stringify(told);
    const headers = { 'x-hub-signature-256': signature(body, whatsapp.appSecret) };
    return [{ url: whatsapp.url, headers, body }];
  }

  /** What was not told by now never will be. */
  close(): void {
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#closed.abort();
  }

  #plan(events: Event[]): void {
    const [least, most] = this.#settings.delayMs ?? [100, 1500];
    let afterMs = 0;
    for (const event of events) {
      afterMs += least + Math.random() * (most - least);
      this.#later(afterMs, () => this.#post(event, 0));
    }
  }

  #later(ms: number, act: () => Promise<void>): void {
    if (this.#closed.signal.aborted) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      void act();
    }, ms);
    this.#waiting.add(timer);
  }

  async #post(event: Event, repetitions: number): Promise<void> {
    const reason = await this.#refusal(event);
    if (reason === null) event.onTold?.();
    if (reason === null || this.#closed.signal.aborted) return;
    if (repetitions === MOST_REPETITIONS) return this.#settings.onGivenUp?.(event.url, reason);
    const pauseMs = (this.#settings.pauseMs ?? 1000) * 2 ** repetitions;
    this.#later(pauseMs, () => this.#post(event, repetitions + 1));
  }

  /** Null for a 200, else what it was instead. */
  async #refusal({ url, headers, body }: Event): Promise<string | null> {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#closed.signal, AbortSignal.timeout(ANSWER_WITHIN_MS)]),
      });
      await response.body?.cancel();
      return response.status === 200 ? null : `status ${response.status}`;
    } catch (error) {
      const { message, cause } = error as Error;
      return cause instanceof Error ? cause.message : message;
    }
  }
}
