import type { Stats } from '@/lib/store/stats';

/** The server answers within 5 s or says why not; after 8 s it is the network that does not. */
const TIMEOUT_MS = 8_000;

/** Reads `/api/stats`. What it throws has a message for people. */
export async function fetchStats(url: string): Promise<Stats> {
  const response = await answer(url);
  if (response.status === 401) {
    // The session is over, and nothing more will come: the login page is what is needed.
    window.location.assign('/login');
    throw new Error('Your session is over.');
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body as Stats;
  throw new Error(body?.error?.message ?? `The server answered ${response.status}.`);
}

async function answer(url: string): Promise<Response> {
  try {
    return await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Error(timedOut ? 'The server does not answer.' : 'The server cannot be reached.');
  }
}
