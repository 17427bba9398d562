import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { dead, done, type Outcome } from '../engine/outcome.ts';
import type { Clock } from '../engine/ports/clock.ts';
import { guardedRequest } from '../net/guarded-request.ts';
import { maxAnswerLength, ProviderError, type ProviderErrorKind, retryAfterSeconds } from '../net/http.ts';
import { networkCode } from '../net/network-error.ts';
import { type AddressGuard, PRIVATE_ADDRESS } from '../net/public-address.ts';
import { headerSecrets, presentable, withoutSecrets } from '../net/redact.ts';
import { maxResponseBytes, readResponseBody } from '../net/response-body.ts';
import { within } from '../net/within.ts';
import { toResult } from './keep-json.ts';
import { signBody } from './signature.ts';

/** The methods with which a job may call a URL. GET has no body. */
export const jobMethods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** The request of a job that calls a URL, as its row keeps it. */
const jobRequest = z.object({
  url: z.string().refine((url) => URL.canParse(url), 'is not a valid URL'),
  method: z.enum(jobMethods).default('POST'),
  headers: z.record(z.string(), z.string()).default({}),
});

/** A claimed job with a `request`. */
interface UrlJob {
  id: string;
  /** ISO 8601. */
  created_at: string;
  payload: unknown;
  request?: unknown;
}

export interface UrlCaller {
  guard: AddressGuard;
  /** Each call is signed with all of them; without any, no call is made. */
  signingSecrets: readonly string[];
}

/** Returns why a job must not call the URL, without resolving its host; null if it may. */
export function jobUrlFault(url: URL, guard: AddressGuard): string | null {
  const fault = guard.faultOf(url);
  if (fault !== null || url.protocol === 'https:' || guard.isException(url)) return fault;
  return 'it is http://, which is neither private nor authentic: use https://, or add its host to MONITOR_ALLOW_PRIVATE and restart';
}

/** Returns a method and a URL as lists and logs may show them: without the query, which may have a secret. */
export function describeCall(method: string, { origin, pathname }: URL): string {
  return `${method} ${origin}${pathname}`;
}

/**
 * Runs one attempt of a job that calls a URL. 2xx is done, with a JSON body as the result. Follows no redirect. Throws a `ProviderError` for anything
 * else: see `failureOf`.
 */
export async function callUrl(
  job: UrlJob,
  { guard, signingSecrets }: UrlCaller,
  { clock, attempt, signal }: { clock: Clock; attempt: number; signal: AbortSignal },
): Promise<Outcome> {
  const { data: request, error } = jobRequest.safeParse(job.request);
  if (!request) {
    const [issue] = error.issues;
    return dead(
      `its request is invalid: ${['request', ...(issue?.path ?? [])].join('.')}: ${issue?.message}`,
    );
  }
  const url = new URL(request.url);
  const target: Target = {
    host: url.host,
    secrets: secretsOf(url, request.headers),
    credentials: credentialsOf(url, request.headers),
    now: () => clock.now(),
  };
  if (signingSecrets.length === 0) {
    throw failure(target, 'account_refused', 'was not called: set JOB_SIGNING_SECRET and redeploy');
  }
  const fault = jobUrlFault(url, guard);
  if (fault !== null) throw failure(target, 'rejected', `was not called: ${fault}`);

  const body = request.method === 'GET' ? '' : JSON.stringify(job.payload);
  const signature = await signBody(body, signingSecrets, Math.floor(clock.now() / 1_000));
  const macs = signature.split(/,?v1=/).slice(1);
  target.secrets.push(...macs);
  target.credentials.push(...macs);
  const headers = {
    'user-agent': 'Punctual',
    ...(body !== '' && { 'content-type': 'application/json' }),
    ...lowerCased(request.headers),
    // A compressed response could not be read.
    'accept-encoding': 'identity',
    'punctual-signature': signature,
    'punctual-job-id': job.id,
    'punctual-attempt': String(attempt),
    'idempotency-key': idempotencyKey(job),
  };
  return within(signal, null, async (inTime) => {
    const response = await guardedRequest(url, guard, {
      method: request.method,
      headers,
      ...(body !== '' && { body }),
      signal: inTime,
    }).catch((thrown) => {
      throw connectionFailure(target, thrown, signal);
    });
    try {
      return await outcomeOf(target, response, signal);
    } finally {
      response.destroy();
    }
  });
}

/** What errors of a call need. */
interface Target {
  host: string;
  /** Not shown in errors. */
  secrets: string[];
  /** Those that no result may keep. */
  credentials: string[];
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** The same in every attempt. A restored or emptied database may give an id again, and the time of creation tells the jobs apart. */
const idempotencyKey = ({ id, created_at }: UrlJob) => `job-${id}-${Date.parse(created_at)}`;

/** The job's own headers and the values of its query: a receiver may quote them. */
const secretsOf = (url: URL, headers: Record<string, string>) => [
  ...headerSecrets(headers),
  url.search.slice(1),
  ...queryValues([...url.searchParams]),
];

/** A result may rightly repeat any other header or parameter. */
const isCredential = ([name]: [string, string]) =>
  /authorization|cookie|key|token|secret|password|signature/i.test(name);

const credentialsOf = (url: URL, headers: Record<string, string>) => [
  ...headerSecrets(Object.fromEntries(Object.entries(headers).filter(isCredential))),
  ...queryValues([...url.searchParams].filter(isCredential)),
];

const queryValues = (parameters: [string, string][]) =>
  parameters.flatMap(([, value]) => [value, encodeURIComponent(value)]);

const lowerCased = (headers: Record<string, string>) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

async function outcomeOf(target: Target, response: IncomingMessage, signal: AbortSignal): Promise<Outcome> {
  const { statusCode: status = 0 } = response;
  const { text, body, cut } = await readResponseBody(response);
  if (status < 200 || status > 299) throw failureOf(target, response, text);
  if (cut === 'answer_too_long') {
    return done({ result: { omitted: `the response is more than ${maxResponseBytes} bytes` } });
  }
  if (cut !== null)
    throw failure(target, 'uncertain', `answered ${status}, and ${cutOff(signal)}`, { status });
  return body === null ? done() : done({ result: withoutSecrets(toResult(body), target.credentials) });
}

/** Statuses of a request that may be sent again as it is. */
const transientStatuses = [408, 425];

/**
 * Returns the error for a response that is not 2xx. 429, and 503 with Retry-After, wait that long and cost no attempt. Any other 4xx is dead. All else is
 * retried by the backoff.
 */
function failureOf(target: Target, { statusCode: status = 0, headers }: IncomingMessage, text: string) {
  const waitSeconds = retryAfterSeconds(headers['retry-after'] ?? null, target.now());
  const answer = text === '' ? '' : `: ${presentable(text, { ...target, maxLength: 500 })}`;
  const more = {
    status,
    retryAfterSeconds: waitSeconds,
    answer: text === '' ? null : presentable(text, { ...target, maxLength: maxAnswerLength }),
  };
  if (status === 429 || (status === 503 && waitSeconds !== null)) {
    return failure(target, 'rate_limited', `answered ${status}${answer}`, more);
  }
  if (status >= 400 && status < 500 && !transientStatuses.includes(status)) {
    return failure(target, 'rejected', `answered ${status}${answer}`, more);
  }
  const isRedirect = status >= 300 && status < 400;
  const why = isRedirect ? ', a redirect, which is not followed: give the job the new address' : answer;
  return failure(target, 'uncertain', `answered ${status}${why}`, more);
}

function connectionFailure(target: Target, thrown: unknown, signal: AbortSignal): ProviderError {
  const code = networkCode(thrown);
  if (code === PRIVATE_ADDRESS) {
    return failure(target, 'rejected', `was not called: ${(thrown as Error).message}`);
  }
  if (signal.aborted) return failure(target, 'uncertain', 'did not respond in time', { code: 'timeout' });
  return failure(target, 'uncertain', `could not be reached (${code ?? 'no response'})`, { code });
}

const cutOff = (signal: AbortSignal) =>
  signal.aborted ? 'its response did not end in time' : 'its response was cut off';

function failure(
  { host }: Target,
  kind: ProviderErrorKind,
  message: string,
  more: Partial<ProviderError> = {},
): ProviderError {
  // Without a scope an `account_refused` would name an account, and a job has none.
  return new ProviderError(`${host} ${message}`, { provider: host, scope: 'provider', ...more, kind });
}
