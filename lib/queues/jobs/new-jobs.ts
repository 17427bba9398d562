import pLimit from 'p-limit';
import { z } from 'zod';
import { type FieldError, fieldErrors } from '../../http/field-error';
import { type CheckedRow, type InsertedRow, insertMany } from '../../http/input/insert-many';
import { instant } from '../../http/input/instant';
import { priority } from '../../http/input/priority';
import { nonEmptyText } from '../../http/input/storable-text';
import { findJob, type Jobs } from '../../jobs/find-job';
import { keepJson } from '../../jobs/keep-json';
import { registry } from '../../jobs/registry';
import type { Rpc } from '../../store/rpc';
import { storable } from '../../store/storable';
import { jobs as jobsQueue } from './queue';

/** No job is checked after so many faults. */
const enoughFaults = 200;
const mostPayloadBytes = 256 * 1_024;
const mostTimeoutSeconds = jobsQueue.timeoutMs / 1_000;

const newJob = z
  .strictObject({
    name: z.string(),
    payload: z.unknown().optional(),
    /** One that there is not is made, with the settings of `default`. */
    queue: z
      .string()
      .regex(
        /^[a-z][a-z0-9_-]{0,39}$/,
        'is no name for a queue: up to 40 lower-case letters, digits, _ and -, beginning with a letter',
      )
      .refine(
        (queue) => queue !== 'failed',
        'is not where jobs are created: a job that fails stays in its own queue, and is found by the status "failed"',
      )
      .default('default'),
    /** Now, if not given. */
    run_at: instant.optional(),
    priority: priority.optional(),
    /** While one job of this name has it, no other is created. */
    unique_key: nonEmptyText(200).optional(),
    /** For so long from its creation; as long as it is kept, if not given. */
    unique_seconds: z.int().min(1).max(315_360_000).optional(),
    max_attempts: z.int().min(1).max(1_000).optional(),
    timeout_seconds: z.int().min(1).optional(),
    /** Not run after this. */
    expires_at: instant.optional(),
  })
  .refine((job) => job.unique_seconds === undefined || job.unique_key !== undefined, {
    path: ['unique_seconds'],
    message: 'is the window of a unique_key, and there is none',
  });

/** Checks one job or up to 1,000 by the code of their names, and creates all or none. Throws a `ValidationError` or a `StoreError`. */
export function enqueueJobs(
  { rpc, jobs = registry }: { rpc: Rpc; jobs?: Jobs },
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  // A schema of somebody's own may find fault with each of 100,000 entries, which takes half a second and 40 MB: a few at a time.
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

async function checkJob(jobs: Jobs, asked: unknown): Promise<CheckedRow> {
  const parsed = newJob.safeParse(asked);
  const faults: Omit<FieldError, 'index'>[] = parsed.success ? [] : fieldErrors(parsed.error);
  const { name, payload = {} } = Object(asked) as { name?: unknown; payload?: unknown };
  if (typeof name !== 'string') return { faults };
  const found = findJob(jobs, name);
  if ('missing' in found) return { faults: [{ field: 'name', message: found.missing }, ...faults] };
  const { job } = found;
  const json = keepJson(payload, mostPayloadBytes);
  if ('fault' in json) faults.push({ field: 'payload', message: json.fault });
  else faults.push(...(await checkPayload(job.payload, json.kept)));
  if (!parsed.success || !('kept' in json)) return { faults };

  const most = Math.min(job.timeoutSeconds ?? mostTimeoutSeconds, mostTimeoutSeconds);
  const { timeout_seconds = 0, max_attempts = 0 } = parsed.data;
  if (timeout_seconds > most) {
    faults.push({
      field: 'timeout_seconds',
      message: `is ${timeout_seconds}; ${name} may take ${most} s at most`,
    });
  }
  if (job.maxAttempts !== undefined && max_attempts > job.maxAttempts) {
    faults.push({
      field: 'max_attempts',
      message: `is ${max_attempts}; ${name} is tried ${job.maxAttempts} times at most`,
    });
  }
  if (faults.length > 0) return { faults };
  const own = { max_attempts: job.maxAttempts, most_seconds: job.timeoutSeconds };
  return { row: { ...own, ...parsed.data, payload: json.kept } };
}

async function checkPayload(schema: z.ZodType, payload: unknown): Promise<Omit<FieldError, 'index'>[]> {
  if (!isStorable(payload)) {
    return [{ field: 'payload', message: 'contains a character that cannot be kept: NUL, or half of one' }];
  }
  const parsed = await schema.safeParseAsync(payload);
  return parsed.success
    ? []
    : fieldErrors(parsed.error).map(({ field, message }) => ({
        field: field ? `payload.${field}` : 'payload',
        message,
      }));
}

function isStorable(payload: unknown): boolean {
  return JSON.stringify(storable(payload)) === JSON.stringify(payload);
}
