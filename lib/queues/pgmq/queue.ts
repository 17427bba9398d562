import { z } from 'zod';
import { dead } from '../../engine/outcome.ts';
import { defineQueue } from '../../engine/queue.ts';
import type { Jobs } from '../../jobs/find-job.ts';
import { runJob } from '../../jobs/run-job.ts';

const row = z.object({ id: z.string(), job: z.string().nullable(), message: z.unknown() });

/** The form of a message in a pgmq queue that was added without a job: the message names its job. */
const namedJob = z.object({ name: z.string().min(1), payload: z.unknown().default({}) });

/** The longest attempt of a message. The registry sets 15 s by default. */
const timeoutMs = 30_000;

/** Makes the queue `pgmq` of Supabase Queues' messages, in which each message runs a job. Each message queue is a partition. A message stores neither the job's return value nor its progress. */
export function messageQueue(known: Jobs) {
  return defineQueue<z.infer<typeof row>, null, unknown>({
    name: 'pgmq',
    row,
    delivery: 'at-least-once',
    partitions: 'due',
    // A project without Supabase Queues is no error.
    unregisteredNote:
      "no message queue was added yet: run select punctual.add_message_queue('…'), see docs/pgmq.md",
    timeoutMs,
    connect: () => null,
    async perform({ id, job, message }, { attempt, signal, log }) {
      const { data: call, error } =
        job === null ? namedJob.safeParse(message) : { data: { name: job, payload: message } };
      if (!call) {
        const [fault] = error.issues;
        const path = ['message', ...(fault?.path ?? [])].join('.');
        return dead(`the message names no job: ${path}: ${fault?.message}`);
      }
      const outcome = await runJob(known, { id, ...call }, { attempt, signal, log, progress() {} });
      return outcome.kind === 'done' ? { kind: 'done' } : outcome;
    },
  });
}
