/** The server answers within 5 s or says why not; after 8 s it is the network that does not. */
const TIMEOUT_MS = 8_000;

/** Reads a route of ours, or posts `body` to it. What it throws has a message for people. */
export async function fetchJson<T>(url: string, body?: object): Promise<T> {
  const response = await answer(url, body);
  if (response.status === 401) {
    // The session is over, and nothing more will come: the login page is what is needed.
    window.location.assign('/login');
    throw new Error('Your session is over.');
  }
  const value = await response.json().catch(() => null);
  if (response.ok && value !== null) return value as T;
  throw new Error(value?.error?.message ?? `The server answered ${response.status}.`);
}

async function answer(url: string, body?: object): Promise<Response> {
  const post = body && {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  try {
    return await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS), ...post });
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Error(timedOut ? 'The server does not answer.' : 'The server cannot be reached.');
  }
}
