import type { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import type { Faults } from './faults.ts';
import type { ProviderMessage, ProviderModel } from './provider-model.ts';
import type { RandomStream } from './random.ts';
import type { SimulatedStore } from './simulated-store.ts';
import { hour, minute, second, type World } from './world.ts';

interface Receipt {
  kind: string;
  status: string;
  message_id: string;
  reference?: string | null;
  provider_account_id: string;
  chat_id?: string;
  recipient: string | null;
  body?: string;
  error?: string;
  said_at: string;
}

/** A receipt that reached the database. */
export interface ReceivedReceipt {
  at: number;
  status: string;
  messageId: string;
  recipient: string | null;
  /** queue/row id/claim id */
  reference: string | null;
}

/** The providers' webhooks: late, twice, out of order, or never. */
export class Webhooks {
  readonly received: ReceivedReceipt[] = [];

  constructor(
    private readonly world: World,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly random: RandomStream,
    private readonly store: SimulatedStore,
    provider: ProviderModel,
  ) {
    provider.onMessage((message) => this.announce(message));
  }

  private announce(message: ProviderMessage): void {
    const { provider, id, reference, accountId, recipient, text, chatId, saidAt, fromUs } = message;
    const common = {
      message_id: id,
      provider_account_id: accountId,
      said_at: new Date(saidAt).toISOString(),
    };
    if (provider === 'unipile') {
      const status = fromUs ? 'sent' : 'received';
      this.post(message, { ...common, kind: 'message', status, chat_id: chatId, recipient, body: text });
      return;
    }
    if (!fromUs) {
      this.post(message, { ...common, kind: 'message', status: 'received', recipient, body: text });
      return;
    }
    if (message.byHand) return;
    const statuses = message.failed ? ['failed'] : ['sent', 'delivered', 'read'];
    for (const status of statuses) {
      const error = status === 'failed' ? { error: '131026: undeliverable' } : {};
      this.post(message, { ...common, kind: 'status', status, reference, recipient, ...error });
    }
  }

  private post(message: ProviderMessage, receipt: Receipt): void {
    const { random } = this;
    // Lost webhooks leave unknown rows for the operator to decide.
    if (random.chance(Math.min(0.3, 0.07 * this.world.weather))) return;
    // A provider gives up an undeliverable message only after hours.
    const isLate = receipt.status === 'failed' && random.chance(0.6);
    const lateMs = isLate
      ? random.between(1, 12) * hour
      : random.pick([
          () => random.magnitude(0.2, 10) * second,
          () => random.magnitude(0.2, 10) * second,
          () => random.magnitude(0.2, 10) * second,
          () => random.magnitude(0.2, 30) * minute,
          () => random.magnitude(0.2, 8) * hour,
        ])();
    const untilSentMs = message.deliveredAt - this.clock.now();
    this.deliver(message.provider, receipt, untilSentMs + lateMs);
    if (random.chance(0.1))
      this.deliver(message.provider, receipt, untilSentMs + lateMs * random.between(1, 5));
  }

  private deliver(provider: string, receipt: Receipt, ms: number): void {
    this.clock.timer(ms, () => {
      if (this.faults.databaseOutage()) {
        this.deliver(provider, receipt, this.random.between(1, 20) * minute);
        return;
      }
      this.received.push({
        at: Math.floor(this.clock.now()),
        status: receipt.status,
        messageId: receipt.message_id,
        recipient: receipt.recipient,
        reference: receipt.reference ?? null,
      });
      void this.store.call('receive_receipts', { p_provider: provider, p_receipts: [receipt] });
    });
  }
}
