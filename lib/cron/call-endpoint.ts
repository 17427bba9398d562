import { networkCode } from '../net/network-error.ts';
import { callHeaders } from './call-headers.ts';
import type { CronCall } from './cron-call.ts';

/** The values of `callHeaders`. Null is left out. */
type CallHeaders = { scheduler: string } & Partial<Pick<CronCall, keyof typeof callHeaders>>;

interface EndpointOptions {
  secret: string;
  /** Rejects with a `TimeoutError` after this. */
  timeoutMs: number;
  method?: 'GET' | 'POST';
  fetch?: typeof globalThis.fetch;
}

/** Calls a cron endpoint of the app or of a worker. Follows no redirect, which could take the secret to another host. Rejects as `fetch` does. */
export async function callEndpoint(
  url: URL,
  call: CallHeaders,
  { secret, timeoutMs, method = 'POST', fetch = globalThis.fetch }: EndpointOptions,
): Promise<Response> {
  const headers = new Headers();
  try {
    headers.set('authorization', `Bearer ${secret}`);
  } catch {
    // The original error quotes the secret, and callers log it.
    throw new TypeError(
      'the secret contains a character that no header can carry, for example a line break. Set another secret',
    );
  }
  for (const name of Object.keys(callHeaders) as (keyof typeof callHeaders)[]) {
    const value = call[name] ?? null;
    if (value !== null) headers.set(callHeaders[name], String(value));
  }
  const signal = AbortSignal.timeout(timeoutMs);
  return fetch(url, { method, headers, redirect: 'manual', cache: 'no-store', signal });
}

/** Returns why `fetch` rejected: the code of the error's cause, because its message is only `fetch failed`. */
export const fetchFault = (error: unknown): string =>
  networkCode((error as Error).cause) ?? (error as Error).message;

export const isTimeout = (error: unknown): boolean => (error as Error).name === 'TimeoutError';
