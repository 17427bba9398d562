import { z } from 'zod';
import type { CheckedRow, InsertedRow } from '../../http/input/insert-many.ts';
import type { Jobs } from '../../jobs/find-job.ts';
import type { Rpc } from '../../store/rpc.ts';
import { registeredApp } from '../registered-app.ts';
import {
  checkHandlerJob,
  checkJob,
  fewAtATime,
  handlerJobInput,
  insertJobs,
  jobSchema,
  noLimits,
} from './job-input.ts';
import type { JobEnv } from './queue.ts';
import { type CallCheck, callCheck, callColumns, urlFields } from './url-job.ts';

const urlJobInput = jobSchema(urlFields);

/** A job with a handler, or one that calls a URL. */
export const jobInput = z.union([handlerJobInput, urlJobInput]);

/**
 * Checks one job or a list of up to 1,000, with their handlers' schemas or their URLs' addresses, and creates all or none. Throws a `ValidationError`, a
 * `StoreError`, or a `NotConfiguredError` for a URL without a secret to sign with.
 */
export function enqueueJobs(
  { rpc, env = {}, jobs = registeredApp().jobs }: { rpc: Rpc; env?: JobEnv; jobs?: Jobs },
  body: unknown,
): Promise<{ rows: InsertedRow[] }> {
  const checkCall = callCheck(env);
  const check = fewAtATime((job) =>
    Object(job).url === undefined ? checkHandlerJob(jobs, job) : checkUrlJob(job),
  );
  return insertJobs(rpc, body, async (job) => checkAddress(checkCall, await check(job)));
}

function checkUrlJob(input: unknown): Promise<CheckedRow> {
  const { method, payload } = Object(input) as { method?: unknown; payload?: unknown };
  const message = 'is not sent by GET: leave it out, or use another method';
  const more = method === 'GET' && payload !== undefined ? [{ field: 'payload', message }] : [];
  return checkJob(urlJobInput, input, { noun: 'a job that calls a URL', limits: noLimits, more });
}

/** Refuses a job whose URL must not be called. */
async function checkAddress(checkCall: CallCheck, checked: CheckedRow): Promise<CheckedRow> {
  if ('faults' in checked || !('url' in checked.row)) return checked;
  const { url, method, headers, ...row } = checked.row as z.output<typeof urlJobInput>;
  const fault = await checkCall(url);
  if (fault !== null) return { faults: [{ field: 'url', message: `cannot be called: ${fault}` }] };
  return { row: { ...row, ...callColumns({ url, method, headers }) } };
}
