import { loggable } from '../engine/ports/log';
import type { StoreError } from '../engine/ports/store-error';
import { isError } from '../services/is-error';
import { serverLog } from '../services/log';
import { directoryInUseCode } from '../store/rpc';
import { schemaBehindCode } from '../store/schema-version';
import { HttpError, ValidationError } from './http-error';
import { json, problem } from './respond';

/** Until a database or a lock is worth asking again. */
const retryAfterSeconds = 5;

/**
 * The answer for an error: what is wrong and what to do. `whenInvalid` says that nothing was done, where the body was not as it should be. An
 * error that is none of ours is logged, and answered without its text.
 */
export function errorResponse(error: unknown, whenInvalid?: string): Response {
  // Made and answered within one bundle, unlike what `isError` tells by name.
  if (error instanceof HttpError) {
    const isBody = error instanceof ValidationError && error.status === 422;
    return problem(error.status, error.kind, (isBody && whenInvalid) || error.message, { ...error.extra });
  }
  const answer = ours(error);
  if (answer) return answer;
  serverLog('error').error({ err: error }, 'a request failed');
  return problem(500, 'internal', 'something went wrong that should not have; the log says what');
}

/** What `errorResponse` says. */
export async function errorMessage(error: unknown): Promise<string> {
  return (await errorResponse(error).json()).error.message;
}

/** 200 with what `run` returns, unless that is a response, or the response for what it throws. */
export async function respond(run: () => Promise<object>, whenInvalid?: string): Promise<Response> {
  try {
    const result = await run();
    return result instanceof Response ? result : json(200, result);
  } catch (error) {
    return errorResponse(error, whenInvalid);
  }
}

function ours(error: unknown): Response | null {
  if (isError(error, 'EnvError') || isError(error, 'NotConfiguredError')) {
    // What a queue's `connect` threw: its text may have a secret in it.
    if (error.cause !== undefined) {
      serverLog('error').error(
        { err: loggable(error.cause), reason: error.message },
        'connect threw an error',
      );
    }
    return problem(503, 'not_configured', error.message, { variables: error.variables });
  }
  if (isError(error, 'StoreError')) {
    if (error.kind === 'registry') return problem(503, 'registry', error.message);
    return problem(503, `database_${error.kind}`, databaseMessage(error), {
      retryAfterSeconds,
      ...(error.counts && { counts: error.counts }),
    });
  }
  if (isError(error, 'MigrationError')) return problem(503, 'database_misconfigured', error.message);
  return null;
}

function databaseMessage({ kind, code, message }: StoreError): string {
  // These say themselves what is missing, and what to do.
  if (code === 'PT404' || code === '401' || code === schemaBehindCode || code === directoryInUseCode)
    return message;
  if (code === '53100') return `the database's disk is full: free space on it and try again (${message})`;
  if (kind === 'misconfigured') {
    return `the database is not set up for Punctual: ${message}. Run \`npm run migrate\`, expose the schema "punctual" in the Data API, and check the key.`;
  }
  return kind === 'unavailable'
    ? `the database cannot be reached: ${message}`
    : `the database refused: ${message}`;
}
