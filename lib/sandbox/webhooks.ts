import type { Delivery, Reply } from './delivery-log.ts';
import { accountStatusEvent, receivedEvent } from './shapes/unipile-shape.ts';
import { newMessageEvent, signatureV2, statusEventV2 } from './shapes/unipile-v2-shape.ts';
import { inboundEvent, signature, statusEvent } from './shapes/whatsapp-shape.ts';

export interface WebhookSettings {
  whatsapp?: { url: string; appSecret: string };
  /** `version` is v1 by default. */
  unipile?: { url: string; secret: string; version?: 'v1' | 'v2' };
  /** The least and most milliseconds from a message or the event before it to an event; 100 to 1500 by default. */
  delayMs?: [number, number];
  /** Milliseconds before the first retry; 1000 by default. Each later pause is twice as long. */
  pauseMs?: number;
  /** Called for each event whose last retry failed. */
  onGivenUp?: (url: string, reason: string) => void;
}

interface Event {
  url: string;
  headers: Record<string, string>;
  body: string;
  onAccepted?: () => void;
}

const MAX_RETRIES = 5;
const TIMEOUT_MS = 30_000;

/** Sends events of messages and replies as the providers do: late, in the background, and again if the response is not 200. */
export class Webhooks {
  readonly #settings: WebhookSettings;
  readonly #waiting = new Set<NodeJS.Timeout>();
  readonly #closed = new AbortController();

  constructor(settings: WebhookSettings) {
    this.#settings = settings;
  }

  /** Sends `sent` and then `delivered` for WhatsApp, and `message_received` or `message.new` for Unipile, as it does for each message of a chat. */
  announce(delivery: Delivery): void {
    if (delivery.provider === 'unipile')
      this.#plan(this.#byUnipile(receivedEvent, newMessageEvent, delivery));
    else {
      this.#plan(
        (['sent', 'delivered'] as const).flatMap((status) => this.#byWhatsapp(statusEvent(delivery, status))),
      );
    }
  }

  /** Sends the event of a reply, and sets its `reported_at` once the event is accepted. */
  announceReply(reply: Reply): void {
    const events =
      reply.provider === 'unipile'
        ? this.#byUnipile(receivedEvent, newMessageEvent, reply)
        : this.#byWhatsapp(inboundEvent(reply));
    const onAccepted = () => {
      reply.reported_at ??= new Date().toISOString();
    };
    this.#plan(events.map((event) => ({ ...event, onAccepted })));
  }

  /** Sends the event that a Unipile account was disconnected, or is connected again. */
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

  #byWhatsapp(payload: object): Event[] {
    const { whatsapp } = this.#settings;
    if (!whatsapp) return [];
    const body = JSON.stringify(payload);
    const headers = { 'x-hub-signature-256': signature(body, whatsapp.appSecret) };
    return [{ url: whatsapp.url, headers, body }];
  }

  /** Cancels all events that were not sent yet. */
  close(): void {
    for (const timer of this.#waiting) clearTimeout(timer);
    this.#closed.abort();
  }

  #plan(events: Event[]): void {
    const [min, max] = this.#settings.delayMs ?? [100, 1500];
    let afterMs = 0;
    for (const event of events) {
      afterMs += min + Math.random() * (max - min);
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

  async #post(event: Event, retries: number): Promise<void> {
    const fault = await this.#send(event);
    if (fault === null) event.onAccepted?.();
    if (fault === null || this.#closed.signal.aborted) return;
    if (retries === MAX_RETRIES) return this.#settings.onGivenUp?.(event.url, fault);
    const pauseMs = (this.#settings.pauseMs ?? 1000) * 2 ** retries;
    this.#later(pauseMs, () => this.#post(event, retries + 1));
  }

  /** Returns null for a 200, or else the fault. */
  async #send({ url, headers, body }: Event): Promise<string | null> {
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([this.#closed.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      });
      await response.body?.cancel();
      return response.status === 200 ? null : `status ${response.status}`;
    } catch (error) {
      const { message, cause } = error as Error;
      return cause instanceof Error ? cause.message : message;
    }
  }
}
