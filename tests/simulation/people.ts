import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { textOf } from './enrolment-stories.ts';
import type { Faults } from './faults.ts';
import type { ProviderMessage, ProviderModel } from './provider-model.ts';
import type { RandomStream } from './random.ts';
import { type Enrolled, isChatOf, type SequenceOperator } from './sequence-operator.ts';
import type { SimulatedStore } from './simulated-store.ts';
import { hour, minute, second, type World } from './world.ts';

/** A reply that was reported through the API, as the caller saw it. */
export interface ApiReply {
  at: number;
  enrolmentId: string;
  /** The provider's id; null if the caller gave none. */
  messageId: string | null;
  /** When the person really wrote it. */
  madeAt: number;
  /** When the caller says that it was written; null means now. */
  saidAt: number | null;
}

/**
 * The people who are enrolled. Some never reply, some always do, within a second or after a day. Their replies are reported by webhook, by
 * the API, or by both.
 */
export class People {
  readonly reported: ApiReply[] = [];
  private readonly tempers = new Map<string, number>();

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    private readonly provider: ProviderModel,
    private readonly operator: SequenceOperator,
    private readonly log: (line: () => string) => void,
  ) {
    provider.onMessage((message) => this.read(message));
  }

  private read(message: ProviderMessage): void {
    if (!message.fromUs || message.byHand || message.failed) return;
    const readers = [...this.operator.enrolled.values()].filter((enrolled) => isChatOf(enrolled, message));
    const reader = readers.at(-1);
    if (!reader) return;
    const { random } = this;
    const key = `${message.accountId} ${message.chatId}`;
    const temper = this.tempers.get(key) ?? random.pick([0, 0, 0.3, 0.6, 1]);
    this.tempers.set(key, temper);
    if (!random.chance(temper)) return;
    const untilReadMs = Math.max(0, message.deliveredAt - this.clock.now());
    // Some reply just when their reminder is due.
    const stepIndex = reader.steps.findIndex((_, n) => textOf(reader, n + 1, false) === message.text);
    const reminderMs = (reader.steps[stepIndex]?.reminder?.after_seconds ?? 0) * second;
    const thoughtMs =
      reminderMs > 0 && random.chance(0.4)
        ? reminderMs + random.between(0, 0.5) * hour
        : random.pick([
            () => random.magnitude(0.3, 60) * second,
            () => random.magnitude(0.3, 60) * second,
            () => random.magnitude(1, 60) * minute,
            () => random.magnitude(1, 30) * hour,
          ])();
    const times = random.chance(0.15) ? 2 : 1;
    for (let n = 1; n <= times; n++) {
      this.clock.timer(untilReadMs + n * thoughtMs, () => this.reply(reader, message));
    }
  }

  private reply(reader: Enrolled, { provider, accountId, chatId, text }: ProviderMessage): void {
    if (this.clock.now() >= this.world.quietAt) return;
    const { random } = this;
    const channel = random.weighted({ webhook: 6, api: 2, both: 2 });
    const { recipient } = reader.person;
    const draft = {
      provider,
      accountId,
      chatId,
      // Providers with chats may name only the chat. WhatsApp's webhooks omit the plus sign.
      recipient: provider === 'whatsapp_cloud' ? chatId.slice(1) : random.chance(0.6) ? recipient : null,
      text: `answer to ${text}`,
    };
    const message = this.provider.typeByHand(draft, false, channel !== 'api');
    this.log(() => `enrolment ${reader.id}: the person wrote "${draft.text}", reported by ${channel}`);
    if (channel === 'webhook') return;
    const namesMessage = channel === 'both' || random.chance(0.5);
    const times = namesMessage && random.chance(0.3) ? 2 : 1;
    const saidAt = namesMessage && random.chance(0.7) ? message.saidAt : null;
    for (let n = 1; n <= times; n++) {
      const ms = n * random.magnitude(1, 7_200) * second;
      this.report(
        { enrolmentId: reader.id, messageId: namesMessage ? message.id : null, saidAt },
        message,
        ms,
      );
    }
  }

  private report(reply: Omit<ApiReply, 'at' | 'madeAt'>, message: ProviderMessage, ms: number): void {
    this.clock.timer(ms, () => {
      if (this.faults.databaseOutage()) return this.report(reply, message, 10 * minute);
      this.reported.push({ ...reply, at: Math.floor(this.clock.now()), madeAt: message.deliveredAt });
      const { saidAt, messageId } = reply;
      this.log(() => `enrolment ${reply.enrolmentId}: the API reports "${message.text}"`);
      const body = {
        body: message.text,
        ...(messageId && { message_id: messageId }),
        ...(saidAt && { said_at: new Date(saidAt).toISOString() }),
      };
      void this.store.call('take_reply', { p_id: reply.enrolmentId, p_reply: body });
    });
  }
}
