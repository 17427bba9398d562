import { type Clock, systemClock } from '../engine/ports/clock.ts';
import type { Answer, Body, EndpointName, PathParams, Query } from './api-types.ts';
import { PunctualError } from './punctual-error.ts';

export interface ClientOptions {
  /** The address that the API is mounted at, for example `https://your.app/api`. */
  url: string;
  /** Sent as a bearer token. */
  apiKey: string;
  fetch?: typeof globalThis.fetch;
  /** How often a call that may be repeated is sent again: one whose rows all have an idempotency key. 2 by default. */
  retries?: number;
  /** Waits between these. The machine's by default. */
  clock?: Pick<Clock, 'timer'>;
}

export interface CallOptions {
  signal?: AbortSignal;
}

export type CallInput<Name extends EndpointName> = {
  params?: PathParams<Name>;
  query?: Query<Name>;
  body?: Body<Name>;
} & CallOptions;

export type CallApi = <Name extends EndpointName>(
  name: Name,
  input?: CallInput<Name>,
) => Promise<Answer<Name>>;

/** Seconds until the first repeat, unless the server says. Each further repeat waits twice as long. */
const firstWaitSeconds = 1;
const noResponse = new Set([0, 502, 503, 504]);

/** Returns the function that calls endpoints. It throws a `PunctualError`, or the signal's reason once it is aborted. */
export function apiCaller(options: ClientOptions): CallApi {
  const { retries = 2, clock = systemClock } = options;
  return async (name, input = {}) => {
    const mayRepeat = hasKeys(input.body);
    for (let attempt = 0; ; attempt++) {
      try {
        return (await callOnce(options, name, input)) as never;
      } catch (error) {
        const isLast = !mayRepeat || attempt >= retries;
        if (isLast || !(error instanceof PunctualError) || !noResponse.has(error.status)) throw error;
        const seconds = error.retryAfterSeconds ?? firstWaitSeconds * 2 ** attempt;
        await wait(clock, seconds * 1_000, input.signal);
      }
    }
  };
}

/** Rejects with the signal's reason as soon as it is aborted. */
function wait(clock: Pick<Clock, 'timer'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const cancel = clock.timer(ms, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    const stop = () => {
      cancel();
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Whether each row of a body, or the action, has a key that makes a repeat harmless. */
function hasKeys(body: unknown): boolean {
  const rows = Array.isArray(body) ? body : [body];
  return rows.every((row) => {
    const { idempotency_key, unique_key, key } = Object(row) as Record<string, unknown>;
    return [idempotency_key, unique_key, key].some((one) => typeof one === 'string');
  });
}

async function callOnce(
  { url, apiKey, fetch = globalThis.fetch }: ClientOptions,
  name: string,
  {
    params = {},
    query = {},
    body,
    signal,
  }: { params?: object; query?: object; body?: unknown; signal?: AbortSignal },
): Promise<unknown> {
  const [method = '', template = ''] = name.split(' ');
  const values = params as Record<string, string>;
  const path = template.replace(/:(\w+)/g, (_, key: string) => encodeURIComponent(values[key] ?? ''));
  const target = `${url.replace(/\/+$/, '')}${path}${queryText(query)}`;
  const headers: Record<string, string> = { Authorization: `Bearer ${apiKey}`, Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const response = await fetch(target, { method, headers, body: sent, signal }).catch((cause) => {
    signal?.throwIfAborted();
    throw new PunctualError(0, 'unreachable', `${new URL(target).host} did not respond`, { cause });
  });
  const answer = await response.json().catch(() => {
    signal?.throwIfAborted();
    return undefined;
  });
  if (response.ok && answer !== undefined) return answer;
  throw errorOf(response, answer);
}

function queryText(query: object): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

function errorOf(response: Response, answer: unknown): PunctualError {
  const { error } = Object(answer) as { error?: { kind: string; message: string; errors?: [] } };
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const retryAfterSeconds = Number.isFinite(seconds) ? seconds : null;
  if (!error) {
    const message = `the server answered ${response.status} without Punctual's JSON: check the url`;
    return new PunctualError(response.status, 'unexpected', message, { retryAfterSeconds });
  }
  return new PunctualError(response.status, error.kind, error.message, {
    errors: error.errors,
    retryAfterSeconds,
  });
}
