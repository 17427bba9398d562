import type { FinishedRun, PacedRun } from '../run-simulation.ts';
import { chatWith, type Intent } from '../world.ts';
import type { Violation } from './violation.ts';

const invariant = 'at most one delivery per intent';

/** By the provider's own record, no text goes to a chat more often than it was queued, and no row goes out twice. */
export function atMostOnce(run: FinishedRun): Violation[] {
  return [run, run.posts].flatMap(deliveredTooOften);
}

export function deliveredTooOften({ queue, messages, intents, transitions }: PacedRun): Violation[] {
  const queued = new Map<string, number>();
  const addQueued = (key: string) => queued.set(key, (queued.get(key) ?? 0) + 1);
  const keyOf = (intent: Intent) =>
    JSON.stringify([intent.account.provider_account_id, chatWith(intent), intent.body]);
  for (const [id, intent] of intents) {
    addQueued(keyOf(intent));
    addQueued(`row ${id}`);
  }
  // A person who puts a row back to pending queues its message once more.
  for (const { byHand, rowId } of transitions) {
    const intent = intents.get(rowId);
    if (byHand !== 'pending again' || !intent) continue;
    addQueued(keyOf(intent));
    addQueued(`row ${rowId}`);
  }
  const delivered = new Map<string, string[]>();
  for (const message of messages) {
    if (message.byHand || message.failed) continue;
    const when = `${message.id} called ${instant(message.calledAt)} delivered ${instant(message.deliveredAt)} ${message.reference ?? ''}`;
    const key = JSON.stringify([message.accountId, message.chatId, message.text]);
    delivered.set(key, [...(delivered.get(key) ?? []), when]);
    if (message.reference === null) continue;
    const row = `row ${message.reference.split('/')[1]}`;
    delivered.set(row, [...(delivered.get(row) ?? []), when]);
  }
  return [...delivered]
    .filter(([key, times]) => times.length > (queued.get(key) ?? 0))
    .map(([key, times]) => ({
      invariant,
      details: `${queue} ${key}: queued ${queued.get(key) ?? 0} times, delivered ${times.length} times: ${times.join('; ')}`,
    }));
}

function instant(at: number): string {
  return new Date(at).toISOString();
}
