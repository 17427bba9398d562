import { type ErrorScope, ProviderError, type ProviderErrorKind } from '../../lib/net/http.ts';
import { unipileMaxLateMs } from '../../lib/providers/unipile/unipile.ts';
import type { DmProviders } from '../../lib/queues/dm-queue/queue.ts';
import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Fate, Faults, SendFault } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { chatOf, hour, minute, type Provider, second } from './world.ts';

/** A message in the provider's own record. */
export interface ProviderMessage {
  id: string;
  provider: Provider;
  accountId: string;
  /** The recipient, because WhatsApp Cloud has no chats. */
  chatId: string;
  recipient: string | null;
  /** For a template, the text that the person reads. */
  text: string;
  form: 'text' | 'template' | 'post';
  /** The reference that we sent along. */
  reference: string | null;
  /** When the provider got the call. */
  calledAt: number;
  /** When it went out; in the future until then. */
  deliveredAt: number;
  /** From when on look-ups show it. */
  visibleAt: number;
  /** When it went out according to the provider. */
  saidAt: number;
  /** Accepted, and then not delivered. */
  failed: boolean;
  fromUs: boolean;
  byHand: boolean;
  /** Only for posts. */
  hasMedia?: boolean;
}

/** A call that reached the provider, with or without effect. */
export interface ProviderCall {
  at: number;
  provider: Provider;
  accountId: string;
  chatId: string;
  recipient: string | null;
  text: string;
  form: 'text' | 'template' | 'post';
  fault: SendFault;
}

export type Draft = Pick<
  ProviderMessage,
  'provider' | 'accountId' | 'chatId' | 'recipient' | 'text' | 'form' | 'reference' | 'hasMedia'
>;

/** The provider's codes for refusals that concern more than one message. */
export const refusalCodes = {
  'account refused': '401',
  'refused for hours': 'errors/account_restricted',
  'refuses everything': 'foreign_answer',
};

/** The longest delay of a delivery after its call. */
const maxLateMs = unipileMaxLateMs - 30 * second;

/** Unipile and WhatsApp Cloud: a true record of every delivery, and every way to report it wrongly or not at all. */
export class ProviderModel {
  readonly messages: ProviderMessage[] = [];
  readonly calls: ProviderCall[] = [];
  private readonly listeners: ((message: ProviderMessage) => void)[] = [];

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  /** Registers a listener for every message, called when the message is written. */
  onMessage(listener: (message: ProviderMessage) => void): void {
    this.listeners.push(listener);
  }

  portsOf(process: SimulatedProcess, fate: Fate): DmProviders {
    const send = (draft: Draft, signal?: AbortSignal) => this.send(process, fate, draft, signal);
    return {
      unipileMaxLateMs,
      unipile: {
        sendMessage: async ({ chatId, text, accountId = '', signal }) => {
          const draft = {
            provider: 'unipile',
            accountId,
            chatId,
            recipient: null,
            text,
            form: 'text',
            reference: null,
          } as const;
          const message = await send(draft, signal);
          return { messageId: this.random.chance(0.02) ? null : message.id, chatId };
        },
        startChat: async ({ accountId, recipient, text, signal }) => {
          const chatId = chatOf(accountId, recipient);
          const message = await send(
            { provider: 'unipile', accountId, chatId, recipient, text, form: 'text', reference: null },
            signal,
          );
          const [namesMessage, namesChat] = [!this.random.chance(0.02), !this.random.chance(0.02)];
          return { messageId: namesMessage ? message.id : null, chatId: namesChat ? chatId : null };
        },
        listMessages: ({ chatId, since, signal }) =>
          this.lookUp(process, fate, signal, () => {
            const messages = this.visible()
              .filter((message) => message.chatId === chatId)
              .map((message) => ({ ...message, ...shownAs(message) }))
              .filter(({ saidAt }) => saidAt >= Date.parse(since));
            return {
              messages: messages
                .sort((a, b) => a.saidAt - b.saidAt)
                .map(({ id, text, saidAt, fromUs }) => ({
                  id,
                  chatId,
                  text,
                  at: new Date(saidAt).toISOString(),
                  fromUs,
                })),
              complete: !this.faults.strikes(0.05, this.random, 'look-up: incomplete'),
            };
          }),
        listChats: ({ attendeeId, accountId, signal }) =>
          this.lookUp(process, fate, signal, () => {
            const id = chatOf(accountId, attendeeId);
            const isThere =
              attendeeId.startsWith('person-') || this.visible().some(({ chatId }) => chatId === id);
            return isThere ? [{ id }] : [];
          }),
      },
      whatsapp_cloud: {
        sendText: async ({ phoneNumberId, to, text, reference, signal }) => {
          const draft = { ...toNumber(phoneNumberId, to), text, form: 'text', reference } as const;
          return { messageId: (await send(draft, signal)).id };
        },
        sendTemplate: async ({ phoneNumberId, to, template, reference, signal }) => {
          const text = template.parameters.join(', ');
          const draft = { ...toNumber(phoneNumberId, to), text, form: 'template', reference } as const;
          return { messageId: (await send(draft, signal)).id };
        },
      },
    };
  }

  /** Writes a message that a person typed into a chat, on either side. `isReported`: whether webhooks may report it. */
  typeByHand(draft: Omit<Draft, 'reference' | 'form'>, fromUs: boolean, isReported = true): ProviderMessage {
    const whole = { ...draft, form: 'text', reference: null } as const;
    return this.write(whole, this.clock.now(), 0, { fromUs, byHand: true }, isReported);
  }

  /** Sends a message under a fault. */
  send(
    process: SimulatedProcess,
    fate: Fate,
    draft: Draft,
    signal: AbortSignal | undefined,
    fault = this.faults.ofSend(draft.provider, draft.accountId),
  ): Promise<ProviderMessage> {
    return new Promise((resolve, reject) => {
      const { random, clock } = this;
      const { provider } = draft;
      fate.step();
      if (process.isOver) return;
      let over = false;
      const finish = (fn: () => void) => {
        if (!over) fn();
        over = true;
      };
      const fail = (
        kind: ProviderErrorKind,
        code: string,
        more: { retryAfterSeconds?: number; scope?: ErrorScope } = {},
      ) => finish(() => reject(new ProviderError(`${provider}: ${code}`, { kind, provider, code, ...more })));
      if (signal?.aborted) return fail('not_sent', 'aborted');

      let connected = false;
      const abort = () => {
        if (!connected || fault !== 'late, heedless of the signal') fail('uncertain', 'aborted');
      };
      signal?.addEventListener('abort', abort, { once: true });

      const respond = (ms: number, fn: () => void) => clock.timer(ms, () => process.receive('response', fn));
      const latencyMs = random.magnitude(100, 3_000);
      const arrive = () => {
        connected = true;
        const calledAt = clock.now();
        this.calls.push({ ...draft, at: calledAt, fault });
        // The provider has the call: from here on the process's fate does not change the delivery.
        const deliver = (ms: number, failed = false) => {
          const message = this.write(draft, calledAt, ms, { failed });
          clock.timer(ms, () => fate.step());
          return message;
        };
        const wellMs = latencyMs * random.between(0.1, 0.9);
        const lateMs = random.magnitude(15 * second, maxLateMs);
        switch (fault) {
          case 'none':
          case 'slow': {
            const ms = fault === 'slow' ? random.between(9, 14.5) * second : latencyMs;
            const message = deliver(ms * 0.6);
            return respond(ms, () => finish(() => resolve(message)));
          }
          case 'late':
          case 'late, heedless of the signal': {
            const message = deliver(lateMs);
            return respond(lateMs, () => finish(() => resolve(message)));
          }
          case 'hung, sent':
            return deliver(wellMs);
          case 'hung, not sent':
            return;
          case 'lost after':
            deliver(wellMs);
            return respond(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case 'lost before':
            return respond(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case 'accepted, then failed':
            deliver(wellMs, true);
            return respond(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case '5xx, sent':
            deliver(wellMs);
            return respond(latencyMs, () => fail('uncertain', '502'));
          case '5xx, sent late':
            deliver(lateMs);
            return respond(latencyMs, () => fail('uncertain', '504'));
          case '5xx, not sent':
            return respond(latencyMs, () => fail('uncertain', '500'));
          case 'rejected':
            return respond(latencyMs, () => fail('rejected', '422'));
          case 'account limited':
          case 'pair limited': {
            const retryAfterSeconds = random.chance(0.5) ? Math.round(random.magnitude(5, 1_200)) : undefined;
            const scope = fault === 'pair limited' ? 'pair' : 'account';
            return respond(latencyMs, () => fail('rate_limited', '429', { retryAfterSeconds, scope }));
          }
          case 'refuses everything':
            return respond(latencyMs, () =>
              fail('account_refused', refusalCodes[fault], { scope: 'provider' }),
            );
          case 'account refused':
          case 'refused for hours':
            return respond(latencyMs, () => fail('account_refused', refusalCodes[fault]));
        }
      };
      if (fault === 'not sent') respond(random.between(5, 200), () => fail('not_sent', 'ECONNREFUSED'));
      // A process that ended, or whose signal aborted, before the connection stands sends nothing.
      else
        respond(random.between(5, 100), () => {
          try {
            signal?.throwIfAborted();
          } catch {
            return fail('not_sent', 'aborted');
          }
          if (!over) arrive();
        });
    });
  }

  lookUp<T>(
    process: SimulatedProcess,
    fate: Fate,
    signal: AbortSignal | undefined,
    find: () => T,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      fate.step();
      if (process.isOver) return;
      const fail = (kind: ProviderErrorKind, code: string) =>
        reject(new ProviderError(`unipile: ${code}`, { kind, provider: 'unipile', code }));
      if (signal?.aborted) return fail('not_sent', 'aborted');
      signal?.addEventListener('abort', () => fail('uncertain', 'aborted'), { once: true });
      const fails =
        this.faults.providerOutage('unipile') !== undefined ||
        this.faults.strikes(0.08, this.random, 'look-up: fails');
      const hangs = fails && this.random.chance(0.3);
      this.clock.timer(this.random.magnitude(80, 2_000), () => {
        // The result is a snapshot of this instant, however late the response arrives.
        const found = find();
        if (!hangs) process.receive('response', () => (fails ? fail('uncertain', '500') : resolve(found)));
      });
    });
  }

  visible(): ProviderMessage[] {
    return this.messages.filter((message) => message.visibleAt <= this.clock.now() && !message.failed);
  }

  write(
    draft: Draft,
    calledAt: number,
    afterMs: number,
    more: Partial<Pick<ProviderMessage, 'failed' | 'fromUs' | 'byHand'>>,
    isReported = true,
  ): ProviderMessage {
    const { random } = this;
    const deliveredAt = Math.round(this.clock.now() + afterMs);
    const lagMs = random.chance(0.2) ? random.magnitude(second, 5 * minute) : 0;
    // A post with media may stay invisible for hours while the provider processes it.
    const processedMs = draft.hasMedia && random.chance(0.6) ? random.magnitude(0.05, 5) * hour : 0;
    const message: ProviderMessage = {
      ...draft,
      id: `${draft.provider}-${this.messages.length + 1}`,
      calledAt,
      deliveredAt,
      visibleAt: processedMs + Math.min(deliveredAt + lagMs, Math.max(deliveredAt, calledAt + maxLateMs)),
      saidAt: deliveredAt + random.integer(-3_000, 3_000),
      failed: false,
      fromUs: true,
      byHand: false,
      ...more,
    };
    this.messages.push(message);
    if (isReported && draft.form !== 'post') for (const listener of this.listeners) listener(message);
    return message;
  }
}

/** Returns how a list shows a message or a post: one in five has another text, one in seven a time that is off. The id decides, so it is stable. */
export function shownAs({ id, text, saidAt }: ProviderMessage): Pick<ProviderMessage, 'text' | 'saidAt'> {
  const number = Number(id.split('-').at(-1));
  const texts = [
    `<p>${text}</p>`,
    text.slice(0, 6),
    `${text}\n\nSent from LinkedIn`,
    'This message cannot be shown',
  ];
  const hoursOff = [-2, -8, 11 / -60, 3];
  return {
    text: number % 5 === 2 ? (texts[number % texts.length] ?? text) : text,
    saidAt: number % 7 === 3 ? saidAt + (hoursOff[number % hoursOff.length] ?? 0) * hour : saidAt,
  };
}

/** The chat is the number, because WhatsApp Cloud has no chats. */
function toNumber(accountId: string, to: string) {
  return { provider: 'whatsapp_cloud', accountId, chatId: to, recipient: to } as const;
}
