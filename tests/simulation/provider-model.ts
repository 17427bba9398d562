import { type ErrorScope, ProviderError, type ProviderErrorKind } from '../../lib/net/http.ts';
import { unipileMaxLateMs } from '../../lib/providers/unipile/unipile.ts';
import type { DmProviders } from '../../lib/queues/dm-queue/queue.ts';
import type { VirtualClock } from '../support/virtual-clock.ts';
import type { Fate, Faults, SendFault } from './faults.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedProcess } from './simulated-process.ts';
import { chatOf, hour, minute, type Provider, second } from './world.ts';

/** A message in the provider's own books. */
export interface ProviderMessage {
  id: string;
  provider: Provider;
  accountId: string;
  /** WhatsApp Cloud has no chats: the recipient. */
  chatId: string;
  recipient: string | null;
  /** Of a template what the person reads. */
  text: string;
  form: 'text' | 'template' | 'post';
  /** What we gave along. */
  reference: string | null;
  /** When the provider had the call. */
  calledAt: number;
  /** When it went out; in the future while it has not yet. */
  deliveredAt: number;
  /** When look-ups begin to show it. */
  visibleAt: number;
  /** What the provider says of when it went out. */
  saidAt: number;
  /** Taken, and then not delivered. */
  failed: boolean;
  fromUs: boolean;
  byHand: boolean;
  /** Of a post. */
  hasMedia?: boolean;
}

/** A call that reached the provider, whatever came of it. */
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

/** What is said by refusals that are not of one message. */
export const refusalCodes = {
  'account refused': '401',
  'refused for hours': 'errors/account_restricted',
  'refuses everything': 'foreign_answer',
};

/** No delivery comes later after its call than this. */
const maxLateMs = unipileMaxLateMs - 30 * second;

/** Unipile and WhatsApp Cloud with the truth of what they delivered, and every way not to tell it. */
export class ProviderModel {
  readonly messages: ProviderMessage[] = [];
  readonly calls: ProviderCall[] = [];
  private readonly listeners: ((message: ProviderMessage) => void)[] = [];

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
  ) {}

  /** Calls `hear` with every message that is written, when it is. */
  listen(hear: (message: ProviderMessage) => void): void {
    this.listeners.push(hear);
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
          const [tellsMessage, tellsChat] = [!this.random.chance(0.02), !this.random.chance(0.02)];
          return { messageId: tellsMessage ? message.id : null, chatId: tellsChat ? chatId : null };
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

  /** Something that a person typed into a chat, on either side. `told`: whether the provider's webhooks may tell of it. */
  typeByHand(draft: Omit<Draft, 'reference' | 'form'>, fromUs: boolean, told = true): ProviderMessage {
    const whole = { ...draft, form: 'text', reference: null } as const;
    return this.write(whole, this.clock.now(), 0, { fromUs, byHand: true }, told);
  }

  /** `fault`: what comes of the call. */
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

      const answer = (ms: number, fn: () => void) => clock.timer(ms, () => process.hear('answer', fn));
      const latencyMs = random.magnitude(100, 3_000);
      const arrive = () => {
        connected = true;
        const calledAt = clock.now();
        this.calls.push({ ...draft, at: calledAt, fault });
        // Carried out now or later; what then happens to the process no longer matters to the message.
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
            return answer(ms, () => finish(() => resolve(message)));
          }
          case 'late':
          case 'late, heedless of the signal': {
            const message = deliver(lateMs);
            return answer(lateMs, () => finish(() => resolve(message)));
          }
          case 'hung, sent':
            return deliver(wellMs);
          case 'hung, not sent':
            return;
          case 'lost after':
            deliver(wellMs);
            return answer(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case 'lost before':
            return answer(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case 'accepted, then failed':
            deliver(wellMs, true);
            return answer(latencyMs, () => fail('uncertain', 'ECONNRESET'));
          case '5xx, sent':
            deliver(wellMs);
            return answer(latencyMs, () => fail('uncertain', '502'));
          case '5xx, sent late':
            deliver(lateMs);
            return answer(latencyMs, () => fail('uncertain', '504'));
          case '5xx, not sent':
            return answer(latencyMs, () => fail('uncertain', '500'));
          case 'rejected':
            return answer(latencyMs, () => fail('rejected', '422'));
          case 'account limited':
          case 'pair limited': {
            const retryAfterSeconds = random.chance(0.5) ? Math.round(random.magnitude(5, 1_200)) : undefined;
            const scope = fault === 'pair limited' ? 'pair' : 'account';
            return answer(latencyMs, () => fail('rate_limited', '429', { retryAfterSeconds, scope }));
          }
          case 'refuses everything':
            return answer(latencyMs, () =>
              fail('account_refused', refusalCodes[fault], { scope: 'provider' }),
            );
          case 'account refused':
          case 'refused for hours':
            return answer(latencyMs, () => fail('account_refused', refusalCodes[fault]));
        }
      };
      if (fault === 'not sent') answer(random.between(5, 200), () => fail('not_sent', 'ECONNREFUSED'));
      // Until it is connected nothing is sent: not by a process that is gone, nor after the signal, nor when its time is over.
      else
        answer(random.between(5, 100), () => {
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
        // What is seen is of this moment, however late the answer is heard.
        const found = find();
        if (!hangs) process.hear('answer', () => (fails ? fail('uncertain', '500') : resolve(found)));
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
    told = true,
  ): ProviderMessage {
    const { random } = this;
    const deliveredAt = Math.round(this.clock.now() + afterMs);
    const lagMs = random.chance(0.2) ? random.magnitude(second, 5 * minute) : 0;
    // A video is processed for as long as it takes.
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
    if (told && draft.form !== 'post') for (const hear of this.listeners) hear(message);
    return message;
  }
}

/** What a list makes of a message or a post: one in five has another text, one in seven a time that is hours off. Drawn by its id, so that it stays. */
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

/** WhatsApp Cloud has no chats. */
function toNumber(accountId: string, to: string) {
  return { provider: 'whatsapp_cloud', accountId, chatId: to, recipient: to } as const;
}
