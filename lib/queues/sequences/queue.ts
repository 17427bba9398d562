import { z } from 'zod';
import { again, dead, done } from '../../engine/outcome.ts';
import { defineQueue } from '../../engine/queue.ts';

/** The value of `punctual.judge_enrolments` for a due enrolment. */
const facts = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('again') }),
  z.object({ outcome: z.literal('done') }),
  z.object({ outcome: z.literal('dead'), error: z.string() }),
]);

/**
 * Enrolments of people in sequences. A due enrolment needs no work outside the database: in the transaction of the settle,
 * `punctual.settle_enrolments` queues its messages and sets its next due time.
 */
export const enrolments = defineQueue<{ id: string }, null, unknown>({
  name: 'enrolments',
  row: z.object({ id: z.coerce.string() }),
  delivery: 'at-least-once',
  timeoutMs: 5_000,
  connect: () => null,
  perform(_enrolment, context) {
    const verdict = facts.parse(context.facts);
    if (verdict.outcome === 'dead') return dead(verdict.error);
    // The settle replaces the 60 s by the enrolment's own due time.
    return verdict.outcome === 'done' ? done() : again(60);
  },
});
