import { readAnswerBody } from './answer-body';
import { networkCode, provesNothingWasSent } from './network-error';
import { within } from './within';

/**
 * What is known after a call that failed. Only `uncertain` leaves open whether the provider acted. `rejected` is this one row's;
 * `account_refused` would meet every row of its scope.
 */
export type ProviderErrorKind = 'rejected' | 'account_refused' | 'rate_limited' | 'not_sent' | 'uncertain';

/** Whom an error concerns. `pair`: the account's messages to this recipient; `provider`: all accounts, since our set-up is wrong. */
export type ErrorScope = 'account' | 'pair' | 'provider';

interface Failure {
  kind: ProviderErrorKind;
  provider: string;
  /** HTTP status; null when there was no answer. */
  status: number | null;
  /** The provider's own code, else the network's or ours (`ECONNREFUSED`, `timeout`, `answer_too_long`). */
  code: string | number | null;
  /** Seconds the provider asked us to wait, 0 to 604,800; null when it did not say. */
  retryAfterSeconds: number | null;
  /** Of `rate_limited` (`account` or `pair`) and `account_refused` (`account` or `provider`). */
  scope: ErrorScope;
}

/** Everything that `request` throws. The engine reads `kind`; the message is for a person. */
export class ProviderError extends Error implements Failure {
  override readonly name = 'ProviderError';
  readonly kind: ProviderErrorKind;
  readonly provider: string;
  readonly status: number | null;
  readonly code: string | number | null;
  readonly retryAfterSeconds: number | null;
  readonly scope: ErrorScope;

  constructor(message: string, failure: Partial<Failure> & Pick<Failure, 'kind' | 'provider'>) {
    super(message);
    this.kind = failure.kind;
    this.provider = failure.provider;
    this.status = failure.status ?? null;
    this.code = failure.code ?? null;
    this.retryAfterSeconds = failure.retryAfterSeconds ?? null;
    this.scope = failure.scope ?? 'account';
  }
}

export interface HttpAnswer {
  status: number;
  headers: Headers;
  /** The body read as JSON; null where it is empty or not JSON. */
  body: unknown;
  text: string;
}

/** What a provider's error body says beyond its status. What it leaves out is taken from the status. */
export interface ErrorReading {
  kind?: ProviderErrorKind;
  code?: string | number | null;
  detail?: string;
  /** `account` where it says nothing. */
  scope?: ErrorScope;
  /** Where there is no `retry-after` header; null where that is not to be believed. */
  retryAfterSeconds?: number | null;
}

export interface HttpRequest {
  /** Named in errors. */
  provider: string;
  method: 'GET' | 'POST';
  url: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  /** Ends the call at any point, the reading of the body included. */
  signal?: AbortSignal;
  /** Milliseconds for the whole call, beside the signal. */
  timeoutMs?: number;
  /** Milliseconds since the epoch, for a `retry-after` given as a date. */
  now?: () => number;
  /** Null for what is not in the provider's own form. */
  readError?: (answer: HttpAnswer) => ErrorReading | null;
}

const MAX_RETRY_AFTER_SECONDS = 7 * 24 * 3600;

/**
 * One HTTP call, never repeated and never redirected. Answers any 2xx; everything else is thrown as a
 * `ProviderError`.
 */
export async function request(call: HttpRequest): Promise<HttpAnswer> {
  const { provider, signal } = call;
  const unsent = (why: string, code: string) =>
    new ProviderError(`${provider} was not called: ${why}`, { kind: 'not_sent', provider, code });
  let headers: Headers;
  try {
    const { username, password } = new URL(call.url);
    if (username || password) throw new TypeError('fetch refuses credentials in an address');
    // A kept-alive connection may be dead without our knowing (a frozen function wakes up to one), and a
    // message written to it would be uncertain for no reason. A fresh one fails before anything is sent.
    headers = new Headers({ ...call.headers, connection: 'close' });
  } catch {
    // The original error quotes the header, which may be the key.
    throw unsent('its address or a header is not valid', 'invalid_request');
  }
  try {
    signal?.throwIfAborted();
  } catch {
    throw unsent('the call was aborted before it began', 'aborted');
  }

  return within(signal, call.timeoutMs ?? null, (inTime) => send(call, headers, inTime));
}

/** Sends a call whose form is valid, under a signal that fires with the call's own or after its time. */
async function send(call: HttpRequest, headers: Headers, inTime: AbortSignal): Promise<HttpAnswer> {
  const { provider } = call;
  const ended = () =>
    inTime.aborted ? (inTime.reason === call.signal?.reason ? 'aborted' : 'timeout') : null;
  const uncertain = (why: string, code: string | null, status: number | null = null) =>
    new ProviderError(`${provider}: ${why}; it may have acted`, {
      kind: 'uncertain',
      provider,
      code,
      status,
    });

  let response: Response;
  try {
    response = await fetch(call.url, {
      method: call.method,
      headers,
      body: call.body,
      redirect: 'manual',
      // Ours is none, and `cache-control: no-cache` goes out with it for the caches of others.
      cache: 'no-store',
      signal: inTime,
    });
  } catch (error) {
    const end = ended();
    if (end) throw uncertain(`no answer before the call was ended (${end})`, end);
    const code = networkCode(error);
    if (!provesNothingWasSent(error)) {
      throw uncertain(`the connection failed without an answer (${code ?? 'unknown cause'})`, code);
    }
    const message = `${provider} could not be reached (${code ?? 'no connection'}); nothing was sent`;
    throw new ProviderError(message, { kind: 'not_sent', provider, code });
  }

  const read = await readAnswerBody(response);
  const answer = { status: response.status, headers: response.headers, ...read };
  if (!response.ok) {
    // 429 and 401 say enough by their status; of another error only the body tells what it was.
    const statusSaysEnough = response.status === 429 || response.status === 401;
    const own = call.readError && !read.cut ? call.readError(answer) : {};
    if (!read.cut || statusSaysEnough) throw refusal(call, answer, own);
  }
  if (read.cut) {
    const why = `its answer (${response.status}) ${read.cut === 'answer_too_long' ? 'is too long' : 'was cut off'}`;
    throw uncertain(why, ended() ?? read.cut, response.status);
  }
  return answer;
}

/** A 2xx that is not in the shape agreed: the provider did something, but not what we know. */
export function unexpectedAnswer(provider: string, answer: HttpAnswer): ProviderError {
  const type = answer.headers.get('content-type') ?? 'no content type';
  const message = `${provider} answered ${answer.status} in an unexpected shape (${type.slice(0, 60)}); it may have acted`;
  return new ProviderError(message, {
    kind: 'uncertain',
    provider,
    status: answer.status,
    code: 'unexpected_answer',
  });
}

/** Seconds from a `retry-after` header, given as seconds or as an HTTP date; null when it says nothing. */
export function retryAfterSeconds(header: string | null, nowMs: number): number | null {
  const value = header?.trim();
  if (!value) return null;
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000;
  if (Number.isNaN(seconds)) return null;
  return Math.min(Math.max(Math.ceil(seconds), 0), MAX_RETRY_AFTER_SECONDS);
}

/** `own`: what the body says; null where it is not in the provider's form. */
function refusal(call: HttpRequest, answer: HttpAnswer, own: ErrorReading | null): ProviderError {
  const reading = readingOf(answer, own);
  const code =
    typeof reading.code === 'string' ? presentable(reading.code, call.headers) : (reading.code ?? null);
  const told = retryAfterSeconds(answer.headers.get('retry-after'), (call.now ?? Date.now)());
  // What refused the row says in its own way is all that a person has to go by.
  const said = reading.detail ?? (reading.kind === 'rejected' ? answer.text : '');
  const detail = said ? `: ${presentable(said, call.headers)}` : '';
  return new ProviderError(
    `${call.provider} answered ${answer.status}${code === null ? '' : ` (${code})`}${detail}`,
    {
      kind: reading.kind,
      provider: call.provider,
      status: answer.status,
      code,
      retryAfterSeconds: reading.retryAfterSeconds === null ? null : (told ?? reading.retryAfterSeconds),
      scope: reading.scope,
    },
  );
}

/** The row's own size, also where a proxy says so. */
const TOO_LARGE = [413, 414, 431];

/** What an error means: by the provider's own code, else by the status. */
function readingOf(
  { status, headers }: HttpAnswer,
  own: ErrorReading | null,
): ErrorReading & Pick<Failure, 'kind'> {
  if (own?.kind) return { ...own, kind: own.kind };
  if (status === 429) return { ...own, kind: 'rate_limited' };
  if (status === 408 || status >= 500) return { ...own, kind: 'uncertain' };
  if (TOO_LARGE.includes(status)) return { ...own, kind: 'rejected' };
  if (own === null) {
    const type = headers.get('content-type')?.slice(0, 60) ?? 'no content type';
    return {
      kind: 'account_refused',
      scope: 'provider',
      code: 'foreign_answer',
      detail: `not in the form of its API (${type}); check its address, key and version`,
    };
  }
  if (status === 402) return { ...own, kind: 'account_refused', scope: 'provider' };
  return { ...own, kind: status === 401 || status === 403 ? 'account_refused' : 'rejected' };
}

/** Providers quote tokens in their errors ("Malformed access token …"); they must not reach a log. */
function presentable(detail: string, headers: Record<string, string> = {}): string {
  const secrets = Object.values(headers).map((value) => value.replace(/^Bearer /, ''));
  const clean = secrets.reduce(
    (text, secret) => (secret.length >= 6 ? text.replaceAll(secret, '***') : text),
    detail,
  );
  return clean
    .replace(/\p{Cc}+/gu, ' ')
    .slice(0, 500)
    .toWellFormed();
}
