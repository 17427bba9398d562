import pLimit from 'p-limit';
import { z } from 'zod';
import { type FieldError, fieldErrors } from '../../http/field-error.ts';
import { type CheckedRow, type InsertedRow, insertMany } from '../../http/input/insert-many.ts';
import { instant } from '../../http/input/instant.ts';
import { priority } from '../../http/input/priority.ts';
import { nonEmptyText, unstorable } from '../../http/input/storable-text.ts';
import type { Job } from '../../jobs/define-job.ts';
import { findJob, type Jobs } from '../../jobs/find-job.ts';
import { keepJson } from '../../jobs/keep-json.ts';
import type { Rpc } from '../../store/rpc.ts';
import { storable } from '../../store/storable.ts';

// Clients import this file, also in browsers: it needs no Node.

/** After this many faults the remaining jobs are not checked. */
const enoughFaults = 200;
const maxPayloadBytes = 256 * 1_024;

/** The longest attempt of a job. The registry sets 15 s by default. */
export const timeoutMs = 30_000;
const maxTimeoutSeconds = timeoutMs / 1_000;

/** The fields of all jobs. */
const settings = {
  payload: z
    .unknown()
    .optional()
    .describe('By the handler’s schema, or the body of the call; default `{}`. 256 kB at most.'),
  queue: z
    .string()
    .regex(
      /^[a-z][a-z0-9_-]{0,39}$/,
      'is not a valid queue name: use up to 40 lower-case letters, digits, _ and -, and begin with a letter',
    )
    .refine(
      (queue) => queue !== 'failed',
      'is not a queue: a failed job stays in its own queue, and you find it by the status "failed"',
    )
    .default('default')
    .describe('The job’s partition. A new one is created with the settings of `default`.'),
  run_at: instant.optional().describe('When it is due; default now.'),
  priority: priority.optional(),
  unique_key: nonEmptyText(200)
    .optional()
    .describe(
      'While a job of this name, or of this method and URL, has this key, no other is created with it.',
    ),
  unique_seconds: z
    .int()
    .min(1)
    .max(315_360_000)
    .optional()
    .describe("How long the key holds, from the job's creation. Until the job is deleted by default."),
  max_attempts: z
    .int()
    .min(1)
    .max(1_000)
    .optional()
    .describe('By default the handler’s, or else the queue’s.'),
  timeout_seconds: z.int().min(1).optional().describe('Of one attempt; at most the handler’s.'),
  expires_at: instant.optional().describe('The job does not start after this.'),
};

/** Makes the schema of jobs with these fields besides those of all jobs. */
export function jobSchema<Shape extends z.ZodRawShape>(shape: Shape) {
  return z
    .strictObject({ ...shape, ...settings })
    .refine(
      (job) => !('unique_seconds' in job) || job.unique_seconds === undefined || job.unique_key !== undefined,
      { path: ['unique_seconds'], message: 'needs a unique_key: set one, or leave unique_seconds out' },
    );
}

export const handlerJobInput = jobSchema({
  name: z
    .string('is not a text: name a handler, or send a url instead')
    .describe('The name of a handler; or `url`.'),
});

/** The limits of a job: its handler's. */
export type JobLimits = Pick<Job, 'payload' | 'timeoutSeconds' | 'maxAttempts'>;

/** Of a job without a handler here: one that calls a URL, or whose handler is in another process, which checks the payload when it runs the job. */
export const noLimits: JobLimits = { payload: z.unknown() };

/**
 * Checks one job or a list of up to 1,000 with their handlers' schemas, and creates all or none. With `jobs` null no schema is known, and any name is
 * accepted. Throws a `ValidationError` or a `StoreError`.
 */
export function enqueueHandlerJobs(
  rpc: Rpc,
  jobs: Jobs | null,
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  return insertJobs(
    rpc,
    body,
    fewAtATime((job) => checkHandlerJob(jobs, job)),
  );
}

export type CheckJob = (job: unknown) => Promise<CheckedRow>;

export function insertJobs(rpc: Rpc, body: unknown, check: CheckJob): Promise<{ rows: InsertedRow[] }> {
  return insertMany('job', body, check, (rows) => rpc('create_jobs', { p_rows: rows }));
}

/** A handler's schema may report a fault for each of 100,000 entries, which takes 0.5 s and 40 MB. So few jobs are checked at a time. */
export function fewAtATime(check: CheckJob): CheckJob {
  const limit = pLimit(4);
  let found = 0;
  return (job) =>
    limit(async () => {
      if (found >= enoughFaults) return { faults: [] };
      const checked = await check(job);
      if ('faults' in checked) found += checked.faults.length;
      return checked;
    });
}

export async function checkHandlerJob(jobs: Jobs | null, input: unknown): Promise<CheckedRow> {
  const { name } = Object(input) as { name?: unknown };
  if (typeof name !== 'string') {
    const parsed = handlerJobInput.safeParse(input);
    return { faults: parsed.success ? [] : fieldErrors(parsed.error) };
  }
  const found = jobs === null ? { job: noLimits } : findJob(jobs, name);
  if ('job' in found) return checkJob(handlerJobInput, input, { noun: name, limits: found.job });
  const parsed = handlerJobInput.safeParse(input);
  const faults = parsed.success ? [] : fieldErrors(parsed.error);
  return { faults: [{ field: 'name', message: found.missing }, ...faults] };
}

/** Checks a job by its schema and its limits. `noun` names it in errors. */
export async function checkJob(
  schema: typeof handlerJobInput | ReturnType<typeof jobSchema>,
  input: unknown,
  { noun, limits, more = [] }: { noun: string; limits: JobLimits; more?: Omit<FieldError, 'index'>[] },
): Promise<CheckedRow> {
  const parsed = schema.safeParse(input);
  const faults: Omit<FieldError, 'index'>[] = parsed.success ? [] : fieldErrors(parsed.error);
  const { payload = {} } = Object(input) as { payload?: unknown };
  const json = keepJson(payload, maxPayloadBytes);
  if ('fault' in json) faults.push({ field: 'payload', message: json.fault });
  else faults.push(...(await checkPayload(limits.payload, json)));
  faults.push(...more);
  if (!parsed.success || !('kept' in json)) return { faults };
  const job = parsed.data as z.output<typeof handlerJobInput>;
  faults.push(...limitFaults(noun, limits, job));
  if (faults.length > 0) return { faults };
  job.payload = json.kept;
  job.max_attempts ??= limits.maxAttempts;
  return { row: Object.assign(job, { most_seconds: limits.timeoutSeconds }) };
}

function limitFaults(
  noun: string,
  { timeoutSeconds = maxTimeoutSeconds, maxAttempts = Number.POSITIVE_INFINITY }: JobLimits,
  { timeout_seconds = 0, max_attempts = 0 }: { timeout_seconds?: number; max_attempts?: number },
): Omit<FieldError, 'index'>[] {
  const maxSeconds = Math.min(timeoutSeconds, maxTimeoutSeconds);
  const faults: Omit<FieldError, 'index'>[] = [];
  if (timeout_seconds > maxSeconds) {
    faults.push({
      field: 'timeout_seconds',
      message: `is ${timeout_seconds}; ${noun} may take at most ${maxSeconds} s`,
    });
  }
  if (max_attempts > maxAttempts) {
    faults.push({
      field: 'max_attempts',
      message: `is ${max_attempts}; ${noun} allows at most ${maxAttempts} attempts`,
    });
  }
  return faults;
}

async function checkPayload(
  schema: z.ZodType,
  { kept, json }: { kept: unknown; json: string },
): Promise<Omit<FieldError, 'index'>[]> {
  // JSON escapes what Postgres cannot store.
  if (json.includes('\\u') && JSON.stringify(storable(kept)) !== json) {
    return [{ field: 'payload', message: unstorable }];
  }
  const parsed = await schema.safeParseAsync(kept);
  return parsed.success
    ? []
    : fieldErrors(parsed.error).map(({ field, message }) => ({
        field: field ? `payload.${field}` : 'payload',
        message,
      }));
}
