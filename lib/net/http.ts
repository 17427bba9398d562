import { networkCode, provesNothingWasSent } from './network-error.ts';
import { headerSecrets, presentable } from './redact.ts';
import { readResponseBody } from './response-body.ts';
import { within } from './within.ts';

/**
 * The kind of a failed call. Only `uncertain` leaves open whether the provider acted. `rejected` concerns this row alone, `account_refused` every row
 * of its scope.
 */
export type ProviderErrorKind = 'rejected' | 'account_refused' | 'rate_limited' | 'not_sent' | 'uncertain';

/** The scope of an error. `pair`: the account's messages to this recipient. `provider`: all accounts, because our set-up is wrong. */
export type ErrorScope = 'account' | 'pair' | 'provider';

interface Failure {
  kind: ProviderErrorKind;
  provider: string;
  /** The HTTP status; null without a response. */
  status: number | null;
  /** The provider's code, or else the network's or ours: `ECONNREFUSED`, `timeout`, `answer_too_long`. */
  code: string | number | null;
  /** Seconds that the provider asks us to wait, 0 to 604,800; null if it does not say. */
  retryAfterSeconds: number | null;
  /** `account` or `pair` for `rate_limited`, `account` or `provider` for `account_refused`. */
  scope: ErrorScope;
  /** The beginning of the response's text, without secrets and private texts. Null without a response, and for a read. */
  answer: string | null;
}

/** The only error that `request` throws. The engine reads `kind`; the message is for people. */
export class ProviderError extends Error implements Failure {
  override readonly name = 'ProviderError';
  readonly kind: ProviderErrorKind;
  readonly provider: string;
  readonly status: number | null;
  readonly code: string | number | null;
  readonly retryAfterSeconds: number | null;
  readonly scope: ErrorScope;
  readonly answer: string | null;

  constructor(message: string, failure: Partial<Failure> & Pick<Failure, 'kind' | 'provider'>) {
    super(message);
    this.kind = failure.kind;
    this.provider = failure.provider;
    this.status = failure.status ?? null;
    this.code = failure.code ?? null;
    this.retryAfterSeconds = failure.retryAfterSeconds ?? null;
    this.scope = failure.scope ?? 'account';
    this.answer = failure.answer ?? null;
  }
}

export interface HttpResponse {
  status: number;
  headers: Headers;
  /** The body as JSON; null if it is empty or not JSON. */
  body: unknown;
  text: string;
}

/** The details of a provider's error body. The status decides the missing ones. */
export interface ErrorReading {
  kind?: ProviderErrorKind;
  code?: string | number | null;
  detail?: string;
  /** `account` by default. */
  scope?: ErrorScope;
  /** Used if there is no `retry-after` header. Null if that header is not to be trusted. */
  retryAfterSeconds?: number | null;
}

export interface HttpRequest {
  /** The provider's name in errors. */
  provider: string;
  method: 'GET' | 'POST';
  url: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array<ArrayBuffer>;
  /** Texts that a person wrote. An error does not repeat them where the provider quotes them. */
  privateTexts?: string[];
  /** Ends the call at any point, also while its body is read. */
  signal?: AbortSignal;
  /** Milliseconds for the whole call, in addition to the signal. */
  timeoutMs?: number;
  /** Milliseconds since the epoch, to convert a `retry-after` date. */
  now?: () => number;
  /** Reads an error response; null if it is not in the provider's format. */
  readError?: (response: HttpResponse) => ErrorReading | null;
}

const maxRetryAfterSeconds = 7 * 24 * 3600;

/** The most that is kept of a provider's answer, in characters. */
export const maxAnswerLength = 2_048;

/** Makes one HTTP call, without a repeat and without redirects. Returns any 2xx response. Throws a `ProviderError` for all else. */
export async function request(call: HttpRequest): Promise<HttpResponse> {
  const { provider, signal } = call;
  const unsent = (why: string, code: string) =>
    new ProviderError(`${provider} was not called: ${why}`, { kind: 'not_sent', provider, code });
  let headers: Headers;
  try {
    const { username, password } = new URL(call.url);
    if (username || password) throw new TypeError('fetch refuses credentials in an address');
    // A kept-alive connection may be dead, for example after a function was frozen, and a message written to it would be uncertain for no reason. A
    // new connection fails before anything is sent.
    headers = new Headers({ ...call.headers, connection: 'close' });
  } catch {
    // The original error quotes the header, which may contain the key.
    throw unsent('its address or a header is not valid', 'invalid_request');
  }
  try {
    signal?.throwIfAborted();
  } catch {
    throw unsent('the call was aborted before it began', 'aborted');
  }

  return within(signal, call.timeoutMs ?? null, (inTime) => send(call, headers, inTime));
}

/** Sends a valid call. `inTime` fires with the call's signal or after its time. */
async function send(call: HttpRequest, headers: Headers, inTime: AbortSignal): Promise<HttpResponse> {
  const { provider } = call;
  const endCode = () =>
    inTime.aborted ? (inTime.reason === call.signal?.reason ? 'aborted' : 'timeout') : null;
  const uncertain = (why: string, code: string | null, status: number | null = null, text = '') =>
    new ProviderError(`${provider}: ${why}; it may have acted`, {
      kind: 'uncertain',
      provider,
      code,
      status,
      answer: answerOf(call, text),
    });

  let fetched: Response;
  try {
    fetched = await fetch(call.url, {
      method: call.method,
      headers,
      body: call.body,
      redirect: 'manual',
      // We have no cache. It also sends `cache-control: no-cache` to the caches of others.
      cache: 'no-store',
      signal: inTime,
    });
  } catch (error) {
    const end = endCode();
    if (end) throw uncertain(`no response before the call ended (${end})`, end);
    const code = networkCode(error);
    if (!provesNothingWasSent(error)) {
      throw uncertain(`the connection failed without a response (${code ?? 'unknown cause'})`, code);
    }
    const message = `${provider} could not be reached (${code ?? 'no connection'}); nothing was sent`;
    throw new ProviderError(message, { kind: 'not_sent', provider, code });
  }

  const read = await readResponseBody(fetched.body);
  const response = { status: fetched.status, headers: fetched.headers, ...read };
  if (!fetched.ok) {
    // The status is enough for 429 and 401. Any other error is known only by its body.
    const isStatusEnough = fetched.status === 429 || fetched.status === 401;
    const own = call.readError && !read.cut ? call.readError(response) : {};
    if (!read.cut || isStatusEnough) throw providerErrorOf(call, response, own);
  }
  if (read.cut) {
    const why = `its response (${fetched.status}) ${read.cut === 'answer_too_long' ? 'is too long' : 'was cut off'}`;
    throw uncertain(why, endCode() ?? read.cut, fetched.status, read.text);
  }
  return response;
}

/** Returns the error for a 2xx response of an unknown shape: the provider acted, but it is not known how. With its call it has the answer. */
export function unexpectedResponse(
  provider: string,
  response: HttpResponse,
  call: HttpRequest | null = null,
): ProviderError {
  const type = response.headers.get('content-type') ?? 'no content type';
  const message = `${provider} answered ${response.status} in an unexpected shape (${type.slice(0, 60)}); it may have acted`;
  return new ProviderError(message, {
    kind: 'uncertain',
    provider,
    status: response.status,
    code: 'unexpected_answer',
    answer: call && answerOf(call, response.text),
  });
}

/** Returns the seconds of a `retry-after` header, which has seconds or an HTTP date; null without a valid one. */
export function retryAfterSeconds(header: string | null, nowMs: number): number | null {
  const value = header?.trim();
  if (!value) return null;
  const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - nowMs) / 1000;
  if (Number.isNaN(seconds)) return null;
  return Math.min(Math.max(Math.ceil(seconds), 0), maxRetryAfterSeconds);
}

/** Returns the error for a response that is not 2xx. `own` is its body's reading; null if the body is not in the provider's format. */
function providerErrorOf(call: HttpRequest, response: HttpResponse, own: ErrorReading | null): ProviderError {
  const reading = readingOf(response, own);
  const code = typeof reading.code === 'string' ? shown(reading.code, call, 100) : (reading.code ?? null);
  const headerSeconds = retryAfterSeconds(response.headers.get('retry-after'), (call.now ?? Date.now)());
  // For a rejected row without a known detail, the text is the only explanation.
  const text = reading.detail ?? (reading.kind === 'rejected' ? response.text : '');
  const detail = text ? `: ${shown(text, call, 500)}` : '';
  return new ProviderError(
    `${call.provider} answered ${response.status}${code === null ? '' : ` (${code})`}${detail}`,
    {
      kind: reading.kind,
      provider: call.provider,
      status: response.status,
      code,
      retryAfterSeconds:
        reading.retryAfterSeconds === null ? null : (headerSeconds ?? reading.retryAfterSeconds),
      scope: reading.scope,
      answer: answerOf(call, response.text),
    },
  );
}

/** Statuses of a row that is too large, from the provider or a proxy. */
const tooLargeStatuses = [413, 414, 431];

/** Decides what an error means, by the provider's own code or else by the status. */
function readingOf(
  { status, headers }: HttpResponse,
  own: ErrorReading | null,
): ErrorReading & Pick<Failure, 'kind'> {
  if (own?.kind) return { ...own, kind: own.kind };
  if (status === 429) return { ...own, kind: 'rate_limited' };
  if (status === 408 || status >= 500) return { ...own, kind: 'uncertain' };
  if (tooLargeStatuses.includes(status)) return { ...own, kind: 'rejected' };
  if (own === null) {
    const type = headers.get('content-type')?.slice(0, 60) ?? 'no content type';
    return {
      kind: 'account_refused',
      scope: 'provider',
      code: 'foreign_answer',
      detail: `not in the format of its API (${type}); check its address, key and version`,
    };
  }
  if (status === 402) return { ...own, kind: 'account_refused', scope: 'provider' };
  return { ...own, kind: status === 401 || status === 403 ? 'account_refused' : 'rejected' };
}

const shown = (text: string, { headers = {}, privateTexts }: HttpRequest, maxLength: number) =>
  presentable(text, { secrets: headerSecrets(headers), privateTexts, maxLength });

/** Null for a read, whose answer may be other people's messages. */
const answerOf = (call: HttpRequest, text: string): string | null =>
  text === '' || call.method === 'GET' ? null : shown(text, call, maxAnswerLength);
