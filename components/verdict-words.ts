import type { RowStory } from '@/lib/store/story/row-story.ts';

export type Verdict = NonNullable<RowStory['sent_once']>['verdict'];

/** What the evidence shows of how often a row was sent: docs/delivery.md, "Was it sent once?". The worst first. */
export const VERDICTS: Record<Verdict, { sentence: string; rows: string; tone: string }> = {
  twice: {
    sentence: 'Two messages are proved: it was sent twice.',
    rows: 'sent twice',
    tone: 'text-bad',
  },
  may_be_twice: {
    sentence:
      'One message is proved, and another attempt has no evidence either way. It may have been sent twice.',
    rows: 'sent, and perhaps twice',
    tone: 'text-warn',
  },
  unknown: {
    sentence: 'An attempt may have sent it. Nothing proves or disproves that.',
    rows: 'may have been sent: nothing proves or disproves it',
    tone: 'text-warn',
  },
  once: {
    sentence:
      'Yes. One message is proved, also by a receipt or a check, and no other attempt may have been sent.',
    rows: 'sent once, confirmed by a receipt or a check',
    tone: 'text-good',
  },
  by_answer_alone: {
    sentence: 'Yes, by the provider’s answer alone. No receipt or check confirms it.',
    rows: 'sent once, by the provider’s answer alone',
    tone: 'text-good',
  },
  by_decision: {
    sentence: 'A person decided that it was sent. There is no evidence.',
    rows: 'sent, as a person decided',
    tone: '',
  },
  not_delivered: {
    sentence: 'The provider accepted it, and reports that it could not deliver it.',
    rows: 'accepted, but not delivered',
    tone: 'text-bad',
  },
  under_way: {
    sentence: 'An attempt runs now. Nothing was sent before.',
    rows: 'under way, and not sent before',
    tone: 'text-busy',
  },
  not_sent: {
    sentence: 'It was not sent. No attempt may have had an effect.',
    rows: 'not sent',
    tone: '',
  },
};
