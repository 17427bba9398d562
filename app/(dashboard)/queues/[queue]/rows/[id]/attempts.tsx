import Link from 'next/link';
import { errorHref, LINK, queueHref } from '@/components/link.ts';
import { type Column, Table } from '@/components/lists/table.tsx';
import { Section } from '@/components/section.tsx';
import { ClockTime } from '@/components/time/relative-time.tsx';
import { shortMs } from '@/lib/stats/short-duration.ts';
import type { RowStory } from '@/lib/store/story/row-story.ts';

type Attempt = RowStory['attempts'][number];

const OUTCOMES: Record<Attempt['outcome'], { word: string; tone: string }> = {
  done: { word: 'done', tone: 'text-good' },
  retry: { word: 'failed, retried', tone: '' },
  dead: { word: 'failed for good', tone: 'text-bad' },
  unknown: { word: 'unknown', tone: 'text-warn' },
  swept: { word: 'cut off', tone: 'text-warn' },
  running: { word: 'running', tone: 'text-busy' },
};

/** Draws a row's attempts, the oldest first, with the provider's answers. */
export function Attempts({ story: { queue, attempts } }: { story: RowStory }) {
  return (
    <Section id="attempts" heading="Attempts">
      <div>
        {attempts.length === 0 ? (
          <p className="text-muted">None yet.</p>
        ) : (
          <Table
            label="Attempts"
            items={attempts}
            columns={columnsOf(queue)}
            keyOf={({ claim_id, ended_at }) => `${claim_id} ${ended_at}`}
          />
        )}
      </div>
    </Section>
  );
}

function columnsOf(queue: string): Column<Attempt>[] {
  return [
    {
      head: 'began',
      isRowHead: true,
      cell: ({ claimed_at, tick }) => {
        const at = claimed_at ? <ClockTime at={claimed_at} seconds /> : 'not recorded';
        return tick ? (
          <Link href={queueHref(queue, `/ticks/${tick.id}`)} prefetch={false} className={LINK}>
            {at}
          </Link>
        ) : (
          at
        );
      },
    },
    {
      head: 'took',
      isNumber: true,
      className: 'whitespace-nowrap',
      cell: ({ duration_ms }) => (duration_ms === null ? <None /> : shortMs(duration_ms)),
    },
    {
      head: 'outcome',
      cell: ({ outcome }) => (
        <span className={`font-medium ${OUTCOMES[outcome].tone}`}>{OUTCOMES[outcome].word}</span>
      ),
    },
    {
      head: 'kind, code',
      cell: ({ kind, code }) => [kind, code].filter(Boolean).join(', ') || <None />,
    },
    {
      head: 'what the provider said',
      cell: (attempt) => <Said queue={queue} attempt={attempt} />,
    },
  ];
}

function Said({ queue, attempt: { text, answer, proof, error_group } }: { queue: string; attempt: Attempt }) {
  if (!text && !answer && !proof) return <None />;
  return (
    <div className="grid min-w-0 gap-1 wrap-anywhere">
      {text &&
        (error_group ? (
          <Link href={errorHref(queue, error_group)} prefetch={false} className="hover:underline">
            {text}
          </Link>
        ) : (
          <span>{text}</span>
        ))}
      {proof && <span className="font-mono text-xs">id {proof}</span>}
      {answer && (
        <details className="text-left text-muted">
          <summary className="cursor-pointer py-1 hover:text-ink">Its answer</summary>
          <pre className="overflow-x-auto rounded bg-sunken p-2 font-mono text-xs whitespace-pre-wrap">
            {answer}
          </pre>
        </details>
      )}
    </div>
  );
}

function None() {
  return <span className="text-muted">–</span>;
}
