import { hasKind } from '../engine/attempt.ts';
import { dead, done, type Outcome, retry } from '../engine/outcome.ts';
import { type Log, loggable } from '../engine/ports/log.ts';
import { findJob, type Jobs } from './find-job.ts';
import { keepJson, toResult } from './keep-json.ts';

const maxProgressBytes = 4 * 1_024;
/** In characters. */
const maxErrorLength = 2_000;

/** A claimed job. */
interface DueJob {
  id: string;
  name: string;
  payload: unknown;
}

/** The part of the queue's `PerformContext` that an attempt uses. */
interface AttemptContext {
  attempt: number;
  signal: AbortSignal;
  log: Log;
  progress(value: unknown): void;
}

/**
 * Runs one attempt of a job with the handler of its name. The handler's return value becomes the result; one that cannot be stored is replaced
 * by the reason. A name without a handler is retried, because a deployment may be in progress. A payload that no longer fits its schema ends
 * the job. Throws the handler's error.
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
    if (!parsed.success) return dead(payloadError(parsed.error.issues));
    const returned = await found.job.run(parsed.data, {
      jobId: id,
      attempt,
      signal,
      log,
      progress(value) {
        const json = keepJson(value, maxProgressBytes);
        if ('kept' in json) progress(json.kept);
        else log.warn({}, `a progress value was dropped: it ${json.fault}`);
      },
    });
    return returned === undefined ? done() : done({ result: toResult(returned) });
  } catch (error) {
    if (hasKind(error) || (signal.aborted && error === signal.reason)) throw toError(error);
    log.warn({ err: loggable(error), attempt }, 'a job threw an error');
    // The engine does not log an error with a kind again.
    throw Object.assign(toError(error), { kind: 'uncertain' });
  }
}

function payloadError(issues: readonly { path: PropertyKey[]; message: string }[]): string {
  const faults = issues.map(({ path, message }) => `${['payload', ...path].join('.')}: ${message}`);
  return `the payload does not fit its schema: ${faults.join('; ')}`.slice(0, maxErrorLength);
}

/** Makes an error with a text of any thrown value, even of one that throws when it is read. Keeps its `kind` and its `code`. */
function toError(thrown: unknown): Error {
  const text = safely(() => textOf(thrown)) ?? 'the job threw a value that cannot be read';
  const kind = safely(() => Object(thrown).kind);
  const code = safely(() => Object(thrown).code);
  const retryAfterSeconds = safely(() => Object(thrown).retryAfterSeconds);
  return Object.assign(new Error(text.slice(0, maxErrorLength)), { kind, code, retryAfterSeconds });
}

function textOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `the job threw ${String(thrown)}`;
  const { name, message }: { name: unknown; message: unknown } = thrown;
  if (typeof message === 'string') return message || String(name);
  const json = keepJson(message, maxErrorLength);
  return 'kept' in json ? `${name}: ${JSON.stringify(json.kept)}` : String(name);
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
