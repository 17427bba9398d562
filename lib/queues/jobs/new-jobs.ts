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
import { registeredApp } from '../registered-app.ts';
import { timeoutMs } from './queue.ts';

/** After this many faults the remaining jobs are not checked. */
const enoughFaults = 200;
const maxPayloadBytes = 256 * 1_024;
const maxTimeoutSeconds = timeoutMs / 1_000;

export const jobInput = z
  .strictObject({
    name: z.string().describe('The name of a handler.'),
    payload: z.unknown().optional().describe('By the handler’s schema; default `{}`. 256 kB at most.'),
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
      .describe('While a job of this name has this key, no other is created with it.'),
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
  })
  .refine((job) => job.unique_seconds === undefined || job.unique_key !== undefined, {
    path: ['unique_seconds'],
    message: 'needs a unique_key: set one, or leave unique_seconds out',
  });

/** Checks one job or a list of up to 1,000 with their handlers' schemas, if `jobs` is not null, and creates all or none. Throws a `ValidationError` or a `StoreError`. */
export function enqueueJobs(
  { rpc, jobs = registeredApp().jobs }: { rpc: Rpc; jobs?: Jobs | null },
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  // A handler's schema may report a fault for each of 100,000 entries, which takes 0.5 s and 40 MB. So few jobs are checked at a time.
  const limit = pLimit(4);
  let found = 0;
  const check = async (job: unknown): Promise<CheckedRow> => {
    if (found >= enoughFaults) return { faults: [] };
    const checked = await checkJob(jobs, job);
    if ('faults' in checked) found += checked.faults.length;
    return checked;
  };
  return insertMany(
    'job',
    body,
    (job) => limit(check, job),
    (rows) => rpc('create_jobs', { p_rows: rows }),
  );
}

/** Stands for a job whose handler is in another process, which checks the payload when it runs the job. */
const unknownJob: Pick<Job, 'payload' | 'timeoutSeconds' | 'maxAttempts'> = { payload: z.unknown() };

async function checkJob(jobs: Jobs | null, input: unknown): Promise<CheckedRow> {
  const parsed = jobInput.safeParse(input);
  const faults: Omit<FieldError, 'index'>[] = parsed.success ? [] : fieldErrors(parsed.error);
  const { name, payload = {} } = Object(input) as { name?: unknown; payload?: unknown };
  if (typeof name !== 'string') return { faults };
  const found = jobs === null ? { job: unknownJob } : findJob(jobs, name);
  if ('missing' in found) return { faults: [{ field: 'name', message: found.missing }, ...faults] };
  const { job } = found;
  const json = keepJson(payload, maxPayloadBytes);
  if ('fault' in json) faults.push({ field: 'payload', message: json.fault });
  else faults.push(...(await checkPayload(job.payload, json)));
  if (!parsed.success || !('kept' in json)) return { faults };

  const maxSeconds = Math.min(job.timeoutSeconds ?? maxTimeoutSeconds, maxTimeoutSeconds);
  const { timeout_seconds = 0, max_attempts = 0 } = parsed.data;
  if (timeout_seconds > maxSeconds) {
    faults.push({
      field: 'timeout_seconds',
      message: `is ${timeout_seconds}; ${name} may take at most ${maxSeconds} s`,
    });
  }
  if (job.maxAttempts !== undefined && max_attempts > job.maxAttempts) {
    faults.push({
      field: 'max_attempts',
      message: `is ${max_attempts}; ${name} allows at most ${job.maxAttempts} attempts`,
    });
  }
  if (faults.length > 0) return { faults };
  parsed.data.payload = json.kept;
  parsed.data.max_attempts ??= job.maxAttempts;
  return { row: Object.assign(parsed.data, { most_seconds: job.timeoutSeconds }) };
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
