import type { QueueStats } from '@/lib/store/stats.ts';
import type { ErrorGroup } from '@/lib/store/story/error-group.ts';

interface KindWords {
  /** A few words, for a list. */
  short: string;
  /** What happened, and what that means for the rows. */
  meaning: string;
}

type Queue = Pick<QueueStats, 'delivery' | 'words'>;

/** Says what a kind of error means for a queue's rows. A kind that is not known is said as it is. */
export function kindInWords(kind: string | null, { delivery, words }: Queue): KindWords {
  const nothing = `nothing was ${words.done}`;
  const isAtMostOnce = delivery === 'at-most-once';
  const uncertain = isAtMostOnce
    ? `Nobody knows whether the row was ${words.done}. It is ${words.unknown} until a check or you decide; it is never retried by itself.`
    : 'Nobody knows whether the attempt worked. It is retried until its attempts are used up.';
  switch (kind) {
    case 'rejected':
      return {
        short: 'refused by the provider',
        meaning: `The provider refused the row itself: ${nothing}. It would refuse it again until the row or its addressee changes.`,
      };
    case 'account_refused':
      return {
        short: 'account refused',
        meaning: `The provider refused the account or the key, not the row: ${nothing}. The account pauses and keeps its rows.`,
      };
    case 'rate_limited':
      return {
        short: 'rate limited',
        meaning: `The provider asked to wait: ${nothing}. The account waits, and the row costs no attempt.`,
      };
    case 'not_sent':
      return {
        short: 'never reached the provider',
        meaning: `The call failed before the provider could act: ${nothing}. It is retried until its attempts are used up.`,
      };
    case 'uncertain':
      return {
        short: 'unclear outcome',
        meaning: `The attempt failed, and the error does not say whether it had its effect. ${uncertain}`,
      };
    case 'timeout':
      return { short: 'timed out', meaning: `The attempt had no answer in time. ${uncertain}` };
    case 'cut':
      return { short: 'process ended', meaning: `The process ended during the attempt. ${uncertain}` };
    case 'thrown':
      return {
        short: 'the handler threw',
        meaning: `The queue’s handler threw an error that does not say what happened. ${uncertain}`,
      };
    case 'returned':
      return {
        short: 'the handler gave up',
        meaning: 'The queue’s handler decided so, and its text says why.',
      };
    case 'unreadable':
      return {
        short: 'row does not fit',
        meaning: `The row does not fit the queue’s schema, so its handler was not called: ${nothing}.`,
      };
    case null:
      return {
        short: 'no kind',
        meaning: 'The error came from outside an attempt, so its kind is not known.',
      };
    default:
      return { short: kind.replaceAll('_', ' '), meaning: `The attempt failed as “${kind}”.` };
  }
}

export const STATE_TONES: Record<ErrorGroup['state'], string> = {
  new: 'bg-bad-tint text-bad',
  known: 'bg-warn-tint text-warn',
  gone: 'bg-sunken text-muted',
};

export const STATE_MEANINGS: Record<ErrorGroup['state'], string> = {
  new: 'seen in the last 24 hours, and nobody has marked it as known',
  known: 'a person has looked into it, and it still happens',
  gone: 'not seen in the last 24 hours',
};

/** Says how many rows are dead with an error now. */
export function deadRows({ rows_dead: rows, rows_dead_more: more }: ErrorGroup): string {
  return `${rows.toLocaleString('en-US')}${more && rows > 0 ? '+' : ''}`;
}
