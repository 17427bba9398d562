import { loggable } from '../engine/ports/log.ts';
import type { StoreError } from '../engine/ports/store-error.ts';
import { isError } from '../services/is-error.ts';
import { serverLog } from '../services/log.ts';
import { schemaBehindCode } from '../store/migrate/schema-version.ts';
import { directoryInUseCode } from '../store/rpc.ts';
import { HttpError, ValidationError } from './http-error.ts';
import { json, problem } from './respond.ts';

/** Seconds until another call of a failed database is worthwhile. */
const retryAfterSeconds = 5;

/**
 * Returns the response for an error, with its cause and its remedy. `whenInvalid` is the message for an invalid body. An unexpected error is logged,
 * and the response does not contain its text.
 */
export function errorResponse(error: unknown, whenInvalid?: string): Response {
  // One bundle both throws and maps an HttpError, so its class identifies it. `isError` compares names because bundles share services.
  if (error instanceof HttpError) {
    const isBody = error instanceof ValidationError && error.status === 422;
    return problem(error.status, error.kind, (isBody && whenInvalid) || error.message, { ...error.extra });
  }
  const known = knownErrorResponse(error);
  if (known) return known;
  serverLog('error').error({ err: error }, 'a request failed');
  return problem(500, 'internal', 'the server failed unexpectedly: see its log');
}

/** Returns the message of `errorResponse`. */
export async function errorMessage(error: unknown): Promise<string> {
  return (await errorResponse(error).json()).error.message;
}

/** Returns 200 with the result of `run` as JSON, its result if that is a response, or the response for its error. */
export async function respond(run: () => Promise<unknown>, whenInvalid?: string): Promise<Response> {
  try {
    const result = await run();
    return result instanceof Response ? result : json(200, result);
  } catch (error) {
    return errorResponse(error, whenInvalid);
  }
}

function knownErrorResponse(error: unknown): Response | null {
  if (isError(error, 'EnvError') || isError(error, 'NotConfiguredError')) {
    // The cause is an error that a queue's `connect` threw. It goes only to the log, because its text may contain a secret.
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
  // These messages already name the cause and the remedy.
  if (code === 'PT404' || code === '401' || code === schemaBehindCode || code === directoryInUseCode)
    return message;
  if (code === '53100') return `the database's disk is full: free space on it and try again (${message})`;
  if (kind === 'misconfigured') {
    return `the database is not set up for Punctual: ${message}. Run \`npm run migrate\`, expose the schema "punctual" in the Data API, and check the key.`;
  }
  return kind === 'unavailable'
    ? `the database cannot be reached: ${message}`
    : `the database refused the call: ${message}`;
}
