import { z } from 'zod';
import { dead } from '../../engine/outcome';
import { defineQueue } from '../../engine/queue';
import type { Jobs } from '../../jobs/find-job';
import { registry } from '../../jobs/registry';
import { runJob } from '../../jobs/run-job';
import type { ScheduledQueue } from '../scheduled-queue';

const row = z.object({ id: z.string(), job: z.string().nullable(), message: z.unknown() });

/** What a message is in a pgmq queue that was added without a job: it names its own. */
const named = z.object({ name: z.string().min(1), payload: z.unknown().default({}) });

/** The longest one message may take; the registry has it at 15 s, until somebody gives it more. */
const timeoutMs = 30_000;

/** The queue `pgmq`, whose messages are done by jobs by their names. Of what a job returns or tells of its progress a message keeps nothing. */
export function messageQueue(known: Jobs) {
  return defineQueue<z.infer<typeof row>, null, unknown>({
    name: 'pgmq',
    row,
    delivery: 'at-least-once',
    timeoutMs,
    connect: () => null,
    async perform({ id, job, message }, context) {
      const { data: asked, error } =
        job === null ? named.safeParse(message) : { data: { name: job, payload: message } };
      if (!asked) {
        const [fault] = error.issues;
        const path = ['message', ...(fault?.path ?? [])].join('.');
        return dead(`the message names no job: ${path}: ${fault?.message}`);
      }
      const outcome = await runJob(known, { id, ...asked }, { ...context, progress() {} });
      return outcome.kind === 'done' ? { kind: 'done' } : outcome;
    },
  });
}

/** Messages of Supabase Queues, each pgmq queue a partition. */
export const pgmq = messageQueue(registry);

export const scheduledPgmq = {
  queue: pgmq,
  partitions: 'due',
  // A project without Supabase Queues is as it should be.
  whereNone: "no message queue was added yet: select punctual.add_message_queue('…'); docs/pgmq.md says more",
} as const satisfies ScheduledQueue;
