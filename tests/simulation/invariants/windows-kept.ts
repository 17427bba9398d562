import { iso8601, skewMs, storiesOf } from '../enrolment-stories.ts';
import type { FinishedRun } from '../run-simulation.ts';
import { day, hour, minute } from '../world.ts';
import type { Violation } from './violation.ts';

/**
 * Over WhatsApp's Cloud API a step goes out as free text if the person wrote within 24 hours, by the provider's record or by a report without
 * a time, and else as a template. Free text is also allowed while webhooks of the account's messages are missing, because the window is not
 * known then.
 */
export function windowsKept(run: FinishedRun): Violation[] {
  const reportedAt = new Map<string, number>();
  for (const { messageId, at } of run.receipts)
    reportedAt.set(messageId, Math.min(at, reportedAt.get(messageId) ?? Number.POSITIVE_INFINITY));
  return storiesOf(run).flatMap((story) => {
    const { account, recipient } = story.enrolled.person;
    if (account.provider !== 'whatsapp_cloud') return [];
    const received = run.messages.filter(
      ({ fromUs, accountId, chatId }) =>
        !fromUs && accountId === account.provider_account_id && chatId === recipient,
    );
    const sent = run.messages.filter(
      ({ fromUs, byHand, accountId }) => fromUs && !byHand && accountId === account.provider_account_id,
    );
    const isUnreported = (at: number) =>
      sent.some(
        ({ id, deliveredAt }) =>
          deliveredAt > at - day - 2 * hour && deliveredAt < at && (reportedAt.get(id) ?? at) >= at,
      );
    const wrote = [
      ...received.map(({ deliveredAt }) => deliveredAt),
      ...story.replies.map(({ countsFrom }) => countsFrom),
    ];
    const isIn = (at: number) => wrote.some((wroteAt) => wroteAt <= at && at < wroteAt + day + skewMs);
    return story.enrolled.steps.flatMap((_, n) =>
      [false, true].flatMap((isReminder) =>
        story.calls(n + 1, isReminder).flatMap(({ at, form }) => {
          const isKnown = story.replies.some(
            ({ knownAt, madeAt }) => knownAt < at - minute && at < madeAt + day - 3 * minute,
          );
          if (form === 'text' ? isIn(at) || isUnreported(at) : !isKnown) return [];
          return [
            {
              invariant: "free text stays within WhatsApp's 24 hours",
              details: `enrolment ${story.enrolled.id}, step ${n + 1} went out as ${form} at ${iso8601(at)}; the person wrote at: ${received.map(({ deliveredAt }) => iso8601(deliveredAt)).join(', ') || 'never'}`,
            },
          ];
        }),
      ),
    );
  });
}
