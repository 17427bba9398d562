import { hasKind } from '../engine/attempt';
import { dead, done, type Outcome, retry } from '../engine/outcome';
import { type Log, loggable } from '../engine/ports/log';
import { findJob, type Jobs } from './find-job';
import { keepJson } from './keep-json';

const mostResultBytes = 64 * 1_024;
const mostProgressBytes = 4 * 1_024;
const mostErrorLength = 2_000;

/** A job that is due, as its queue hands it out. */
export interface DueJob {
  id: string;
  name: string;
  payload: unknown;
}

/** What an attempt is given by its queue. */
export interface AttemptContext {
  attempt: number;
  signal: AbortSignal;
  log: Log;
  progress(value: unknown): void;
}

/**
 * One attempt of a job by the code of its name. What the handler returns is the result, or says why it was not kept; a name without
 * code is tried again later, since a deployment may be under way; a payload that does not fit any more ends the job. Throws what the
 * handler throws.
 */
export async function runJob(
  jobs: Jobs,
  { id, name, payload }: DueJob,
  { attempt, signal, log: queueLog, progress }: AttemptContext,
): Promise<Outcome> {
  const found = findJob(jobs, name);
  if ('missing' in found) return retry(found.missing);
  const log = jobLog(queueLog, { job: id, name });
  try {
    const parsed = await found.job.payload.safeParseAsync(payload);
    if (!parsed.success) return dead(misfit(parsed.error.issues));
    const returned = await found.job.run(parsed.data, {
      jobId: id,
      attempt,
      signal,
      log,
      progress(value) {
        const told = keepJson(value, mostProgressBytes);
        if ('kept' in told) progress(told.kept);
        else log.warn({}, `a progress was left out: it ${told.fault}`);
      },
    });
    return returned === undefined ? done() : done({ result: toResult(returned) });
  } catch (error) {
    if (hasKind(error) || (signal.aborted && error === signal.reason)) throw tellable(error);
    log.warn({ err: loggable(error), attempt }, 'a job threw an error');
    // With its kind it is not logged once more.
    throw Object.assign(tellable(error), { kind: 'uncertain' });
  }
}

function toResult(returned: unknown): unknown {
  const result = keepJson(returned, mostResultBytes);
  return 'kept' in result ? result.kept : { omitted: `the result ${result.fault}` };
}

function misfit(issues: readonly { path: PropertyKey[]; message: string }[]): string {
  const faults = issues.map(({ path, message }) => `${['payload', ...path].join('.')}: ${message}`);
  return `the payload does not fit: ${faults.join('; ')}`.slice(0, mostErrorLength);
}

/** A handler may throw anything, also what throws when it is looked at: told as an error with a text. Its `kind` still counts. */
function tellable(thrown: unknown): Error {
  const text = safely(() => textOf(thrown)) ?? 'the job threw a value that cannot be read';
  const kind = safely(() => Object(thrown).kind);
  const retryAfterSeconds = safely(() => Object(thrown).retryAfterSeconds);
  return Object.assign(new Error(text.slice(0, mostErrorLength)), { kind, retryAfterSeconds });
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `the job threw ${String(thrown)}`;
  const { name, message }: { name: unknown; message: unknown } = thrown;
  if (typeof message === 'string') return message || String(name);
  const told = keepJson(message, mostErrorLength);
  return 'kept' in told ? `${name}: ${JSON.stringify(told.kept)}` : String(name);
}

function safely<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function jobLog(log: Log, job: { job: string; name: string }): Log {
  return {
    info: (fields, message) => log.info({ ...fields, ...job }, message),
    warn: (fields, message) => log.warn({ ...fields, ...job }, message),
    error: (fields, message) => log.error({ ...fields, ...job }, message),
  };
}
