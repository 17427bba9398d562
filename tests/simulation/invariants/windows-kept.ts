import type { FinishedRun } from '../run-simulation.ts';
import { skewMs, storiesOf, told8601 } from '../sequence-reckoning.ts';
import { day, hour, minute } from '../world.ts';
import type { Violation } from './violation.ts';

/**
 * Over WhatsApp's Cloud API a step goes out as free text where the person wrote within 24 hours, by the provider's books or by what somebody
 * told who did not say when it was, and else as a template; also as free text where webhooks of the account's messages are missing, so that
 * nobody can know.
 */
export function windowsKept(run: FinishedRun): Violation[] {
  const toldAt = new Map<string, number>();
  for (const { messageId, at } of run.told)
    toldAt.set(messageId, Math.min(at, toldAt.get(messageId) ?? Number.POSITIVE_INFINITY));
  return storiesOf(run).flatMap((story) => {
    const { account, recipient } = story.enrolled.person;
    if (account.provider !== 'whatsapp_cloud') return [];
    const heard = run.messages.filter(
      ({ fromUs, accountId, chatId }) =>
        !fromUs && accountId === account.provider_account_id && chatId === recipient,
    );
    const sent = run.messages.filter(
      ({ fromUs, byHand, accountId }) => fromUs && !byHand && accountId === account.provider_account_id,
    );
    const isUnheard = (at: number) =>
      sent.some(
        ({ id, deliveredAt }) =>
          deliveredAt > at - day - 2 * hour && deliveredAt < at && (toldAt.get(id) ?? at) >= at,
      );
    const wrote = [
      ...heard.map(({ deliveredAt }) => deliveredAt),
      ...story.replies.map(({ countsFrom }) => countsFrom),
    ];
    const isIn = (at: number) => wrote.some((wroteAt) => wroteAt <= at && at < wroteAt + day + skewMs);
    return story.enrolled.steps.flatMap((_, n) =>
      [false, true].flatMap((isReminder) =>
        story.calls(n + 1, isReminder).flatMap(({ at, form }) => {
          const isKnown = story.replies.some(
            ({ knownAt, madeAt }) => knownAt < at - minute && at < madeAt + day - 3 * minute,
          );
          if (form === 'text' ? isIn(at) || isUnheard(at) : !isKnown) return [];
          return [
            {
              invariant: "WhatsApp's window is kept",
              details: `enrolment ${story.enrolled.id}, step ${n + 1} went out as ${form} at ${told8601(at)}; the person had written at ${heard.map(({ deliveredAt }) => told8601(deliveredAt)).join(', ') || 'no time'}`,
            },
          ];
        }),
      ),
    );
  });
}
