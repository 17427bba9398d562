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
import { type JobEnv, timeoutMs } from './queue.ts';
import { type CallCheck, callCheck, callColumns, urlFields } from './url-job.ts';

/** After this many faults the remaining jobs are not checked. */
const enoughFaults = 200;
const maxPayloadBytes = 256 * 1_024;
const maxTimeoutSeconds = timeoutMs / 1_000;

/** The fields of all jobs. */
const settings = {
  payload: z.unknown().optional(),
  /** A new queue is created with the settings of `default`. */
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
    .default('default'),
  /** Now by default. */
  run_at: instant.optional(),
  priority: priority.optional(),
  /** While a job of this name, or of this method and URL, has this key, no other is created with it. */
  unique_key: nonEmptyText(200).optional(),
  /** How long the key holds, from the job's creation. Until the job is deleted by default. */
  unique_seconds: z.int().min(1).max(315_360_000).optional(),
  max_attempts: z.int().min(1).max(1_000).optional(),
  timeout_seconds: z.int().min(1).optional(),
  /** The job does not start after this. */
  expires_at: instant.optional(),
};

const mayHaveWindow = (job: { unique_seconds?: number; unique_key?: string }) =>
  job.unique_seconds === undefined || job.unique_key !== undefined;
const needsKey = {
  path: ['unique_seconds'],
  message: 'needs a unique_key: set one, or leave unique_seconds out',
};

const handlerJobInput = z
  .strictObject({ name: z.string('is not a text: name a handler, or send a url instead'), ...settings })
  .refine(mayHaveWindow, needsKey);
const urlJobInput = z.strictObject({ ...urlFields, ...settings }).refine(mayHaveWindow, needsKey);

/**
 * Checks one job or a list of up to 1,000, with their handlers' schemas or their URLs' addresses, and creates all or none. Throws a `ValidationError`, a
 * `StoreError`, or a `NotConfiguredError` for a URL without a secret to sign with.
 */
export function enqueueJobs(
  { rpc, env = {}, jobs = registeredApp().jobs }: { rpc: Rpc; env?: JobEnv; jobs?: Jobs },
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  // A handler's schema may report a fault for each of 100,000 entries, which takes 0.5 s and 40 MB. So few jobs are checked at a time.
  const limit = pLimit(4);
  const checkCall = callCheck(env);
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
    async (job) => checkAddress(checkCall, await limit(check, job)),
    (rows) => rpc('create_jobs', { p_rows: rows }),
  );
}

/** Refuses a job whose URL must not be called. */
async function checkAddress(checkCall: CallCheck, checked: CheckedRow): Promise<CheckedRow> {
  if ('faults' in checked || !('url' in checked.row)) return checked;
  const { url, method, headers, ...row } = checked.row as z.output<typeof urlJobInput>;
  const fault = await checkCall(url);
  if (fault !== null) return { faults: [{ field: 'url', message: `cannot be called: ${fault}` }] };
  return { row: { ...row, ...callColumns({ url, method, headers }) } };
}

/** The limits of a job that calls a URL, in place of a handler's. */
const callLimits: JobLimits = { payload: z.unknown() };

type JobLimits = Pick<Job, 'payload' | 'timeoutSeconds' | 'maxAttempts'>;

async function checkJob(jobs: Jobs, input: unknown): Promise<CheckedRow> {
  const { name, url, method, payload = {} } = Object(input) as Record<string, unknown>;
  const isCall = url !== undefined;
  const parsed = (isCall ? urlJobInput : handlerJobInput).safeParse(input);
  const faults: Omit<FieldError, 'index'>[] = parsed.success ? [] : fieldErrors(parsed.error);
  if (!isCall && typeof name !== 'string') return { faults };
  const found = isCall ? { job: callLimits } : findJob(jobs, String(name));
  if ('missing' in found) return { faults: [{ field: 'name', message: found.missing }, ...faults] };
  const job: JobLimits = found.job;
  const json = keepJson(payload, maxPayloadBytes);
  if ('fault' in json) faults.push({ field: 'payload', message: json.fault });
  else faults.push(...(await checkPayload(job.payload, json)));
  if (isCall && method === 'GET' && Object(input).payload !== undefined) {
    faults.push({ field: 'payload', message: 'is not sent by GET: leave it out, or use another method' });
  }
  if (!parsed.success || !('kept' in json)) return { faults };
  faults.push(...limitFaults(isCall ? 'a job that calls a URL' : String(name), job, parsed.data));
  if (faults.length > 0) return { faults };
  parsed.data.payload = json.kept;
  parsed.data.max_attempts ??= job.maxAttempts;
  return { row: Object.assign(parsed.data, { most_seconds: job.timeoutSeconds }) };
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
