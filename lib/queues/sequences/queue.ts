import { z } from 'zod';
import { again, dead, done } from '../../engine/outcome';
import { defineQueue } from '../../engine/queue';

/** What `punctual.judge_enrolments` says of a due enrolment. */
const facts = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('again') }),
  z.object({ outcome: z.literal('done') }),
  z.object({ outcome: z.literal('dead'), error: z.string() }),
]);

/**
 * People in sequences, whose next step is due. There is nothing to be done outside the database: the settle queues their messages, by
 * `punctual.settle_enrolments`, in its own transaction, and says when they are due next.
 */
export const enrolments = defineQueue<{ id: string }, null, unknown>({
  name: 'enrolments',
  row: z.object({ id: z.coerce.string() }),
  delivery: 'at-least-once',
  timeoutMs: 5_000,
  connect: () => null,
  perform(_enrolment, context) {
    const judged = facts.parse(context.facts);
    if (judged.outcome === 'dead') return dead(judged.error);
    // The settle puts another due time in the place of this one.
    return judged.outcome === 'done' ? done() : again(60);
  },
});
