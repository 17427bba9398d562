import { networkCode } from '../net/network-error';
import type { CronCall } from './cron-call';

/** What a call says of the scheduler behind it, in `x-punctual-…` headers. What is null is not said. */
type Said = { clock: string } & Partial<Pick<CronCall, 'slot' | 'schedule' | 'path' | 'lap' | 'chain'>>;

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
  said: Said,
  { secret, timeoutMs, method = 'POST', fetch = globalThis.fetch }: EndpointOptions,
): Promise<Response> {
  const headers = new Headers();
  try {
    headers.set('authorization', `Bearer ${secret}`);
  } catch {
    // The text of that error quotes the secret, and callers log it.
    throw new TypeError('the secret has a character that no header can carry, such as a line break');
  }
  for (const [name, value] of Object.entries(said)) {
    if (value !== null && value !== undefined) headers.set(`x-punctual-${name}`, String(value));
  }
  const signal = AbortSignal.timeout(timeoutMs);
  return fetch(url, { method, headers, redirect: 'manual', cache: 'no-store', signal });
}

/** Why `fetch` rejected: `fetch failed` says nothing, and the code of its cause does. */
export const fetchFault = (error: unknown): string =>
  networkCode((error as Error).cause) ?? (error as Error).message;

export const isTimeout = (error: unknown): boolean => (error as Error).name === 'TimeoutError';
