import { networkCode } from '../net/network-error';
import { callHeaders } from './call-headers';
import type { CronCall } from './cron-call';

/** What `callHeaders` carry. Null is left out. */
type CallHeaders = { scheduler: string } & Partial<Pick<CronCall, keyof typeof callHeaders>>;

interface EndpointOptions {
  secret: string;
  /** Rejects with a `TimeoutError` after this. */
  timeoutMs: number;
  method?: 'GET' | 'POST';
  fetch?: typeof globalThis.fetch;
}

/** Calls a cron endpoint of ours, or a worker's. Follows no redirect, since the secret is for nobody else. Rejects as `fetch` does. */
export async function callEndpoint(
  url: URL,
  call: CallHeaders,
  { secret, timeoutMs, method = 'POST', fetch = globalThis.fetch }: EndpointOptions,
): Promise<Response> {
  const headers = new Headers();
  try {
    headers.set('authorization', `Bearer ${secret}`);
  } catch {
    // The text of that error quotes the secret, and callers log it.
    throw new TypeError('the secret has a character that no header can carry, such as a line break');
  }
  for (const name of Object.keys(callHeaders) as (keyof typeof callHeaders)[]) {
    const value = call[name] ?? null;
    if (value !== null) headers.set(callHeaders[name], String(value));
  }
  const signal = AbortSignal.timeout(timeoutMs);
  return fetch(url, { method, headers, redirect: 'manual', cache: 'no-store', signal });
}

/** Why `fetch` rejected: `fetch failed` says nothing, and the code of its cause does. */
export const fetchFault = (error: unknown): string =>
  networkCode((error as Error).cause) ?? (error as Error).message;

export const isTimeout = (error: unknown): boolean => (error as Error).name === 'TimeoutError';
