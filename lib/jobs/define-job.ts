import { z } from 'zod';
import type { Log } from '../engine/ports/log.ts';

/** The second argument of a job's handler. */
export interface JobContext {
  jobId: string;
  /** 1 for the first. */
  attempt: number;
  /** Aborts when the attempt's time is over. The attempt then has 0.25 s to return; after that it counts as failed. */
  signal: AbortSignal;
  /** Adds the job's id and name to each line. */
  log: Log;
  /** Reports progress: up to 4 KB of JSON. The latest value is written about once a second. Never throws. */
  progress(value: unknown): void;
}

/** The handler of the jobs of one name, and their limits. */
export interface Job<Schema extends z.ZodType = z.ZodType> {
  /** Checks the payload when a job is created and again before each attempt. */
  payload: Schema;
  /** The longest attempt, after which its signal aborts. Can only shorten the queue's timeout. */
  timeoutSeconds?: number;
  /** After this many attempts the job is failed. A job cannot be created with more. The queue's by default. */
  maxAttempts?: number;
  /**
   * Does the work. It runs at least once, so running it twice must do no harm. The return value is stored, up to 64 KB of JSON. If it throws, the
   * job is retried later; a `JobError` can say when, or that a retry would not help.
   */
  run(payload: z.output<Schema>, context: JobContext): unknown;
}

const definition = z.strictObject({
  payload: z.custom(
    (value) => typeof (value as z.ZodType)?.safeParseAsync === 'function',
    'is not a zod schema',
  ),
  timeoutSeconds: z.int().min(1).max(785).optional(),
  maxAttempts: z.int().min(1).max(1_000).optional(),
  run: z.custom((value) => typeof value === 'function', 'is not a function'),
});

/**
 * Defines a job and infers its types. Checks nothing, because a file that throws when it is loaded breaks all jobs. The queue `jobs` checks the
 * definition with `jobFault`.
 */
export function defineJob<Schema extends z.ZodType>(job: Job<Schema>): Job<Schema> {
  return job;
}

/** Says what is wrong with a job's definition, in words for a person; null if nothing is. */
export function jobFault(job: unknown): string | null {
  const checked = definition.safeParse(job);
  if (checked.success) return null;
  return checked.error.issues
    .map(({ path, message }) => `${path.join('.') || 'the job'}: ${message}`)
    .join('; ');
}
