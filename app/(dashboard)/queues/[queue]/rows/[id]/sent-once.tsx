import { Section } from '@/components/section.tsx';
import { VERDICTS } from '@/components/verdict-words.ts';
import { plural } from '@/lib/stats/plural.ts';
import type { RowStory } from '@/lib/store/story/row-story.ts';

const SOURCES = {
  answer: 'the provider’s answer',
  row: 'the row itself',
  receipt: 'a receipt',
  check: 'a check',
  late: 'late proof',
} as const;

/** Draws what the evidence shows of how often a row was sent. Draws nothing in an at-least-once queue. */
export function SentOnce({ of }: { of: RowStory['sent_once'] }) {
  if (of === null) return null;
  const { verdict, attempts, open, ids, failed_ids } = of;
  return (
    <Section id="sent-once" heading="Sent once?">
      <div className="grid gap-2">
        <p className={`text-base font-semibold ${VERDICTS[verdict].tone}`}>{VERDICTS[verdict].sentence}</p>
        {attempts > 0 && (
          <p className="text-muted">
            {plural(attempts, 'attempt')} may have had an effect
            {open > 0 && `, ${open} of them without evidence either way`}.
          </p>
        )}
        {ids.length > 0 && (
          <ul className="divide-y divide-line border-y border-line">
            {ids.map(({ id, by }) => (
              <li key={id} className="py-1.5 wrap-anywhere">
                <span className="font-mono text-xs">{id}</span> by{' '}
                {by.map((source) => SOURCES[source]).join(', ')}
                {failed_ids.includes(id) && <span className="text-bad">, not delivered</span>}
              </li>
            ))}
          </ul>
        )}
      </div>
    </Section>
  );
}
