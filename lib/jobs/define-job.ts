import { z } from 'zod';
import type { Log } from '../engine/ports/log';

/** What a job's handler is given beside its payload. */
export interface JobContext {
  jobId: string;
  /** 1 for the first. */
  attempt: number;
  /** Fires when the attempt's time is over; a quarter of a second later the attempt is left behind. */
  signal: AbortSignal;
  /** Each line bears the job's id and name. */
  log: Log;
  /** How far it has come, for whoever asks: up to 4 KB of JSON, written about once a second. Never throws. */
  progress(value: unknown): void;
}

/** The code of all jobs of one name. */
export interface Job<Schema extends z.ZodType = z.ZodType> {
  /** Checked when a job is created, and again before each attempt. */
  payload: Schema;
  /** The longest one attempt takes, where its queue gives more: then its signal fires. */
  timeoutSeconds?: number;
  /** Then the job is failed: the most that one may be created with. Its queue's if not given. */
  maxAttempts?: number;
  /**
   * Does the work once; at least once in all, so that doing it twice must do no harm. What it returns is kept, up to 64 KB of JSON. An
   * error is a failed attempt, and the job is tried again after a while; a `JobError` says more.
   */
  run(payload: z.output<Schema>, context: JobContext): unknown;
}

const definition = z.strictObject({
  payload: z.custom(
    (value) => typeof (value as z.ZodType)?.safeParseAsync === 'function',
    'is no zod schema',
  ),
  timeoutSeconds: z.int().min(1).max(785).optional(),
  maxAttempts: z.int().min(1).max(1_000).optional(),
  run: z.custom((value) => typeof value === 'function', 'is no function'),
});

/** Says what a job is, and nothing more: the queue `jobs` checks it by `jobFault`, since a file that throws when it is loaded takes all others along. */
export function defineJob<Schema extends z.ZodType>(job: Job<Schema>): Job<Schema> {
  return job;
}

/** What is wrong with a job's definition, for people; null where nothing is. */
export function jobFault(job: unknown): string | null {
  const checked = definition.safeParse(job);
  if (checked.success) return null;
  return checked.error.issues
    .map(({ path, message }) => `${path.join('.') || 'the job'}: ${message}`)
    .join('; ');
}
