/** The server responds within 5 s, even if only with an error. After 8 s the network is at fault. */
const TIMEOUT_MS = 8_000;

/** Reads one of our routes, or posts `body` to it. Throws an error with a message for people. */
export async function fetchJson<T>(url: string, body?: object): Promise<T> {
  const text = await fetchText(url, body);
  return JSON.parse(text);
}

/** As `fetchJson`, without parsing the response. */
export async function fetchText(url: string, body?: object): Promise<string> {
  const response = await send(url, body);
  if (response.status === 401) {
    // Without a session every later request fails too.
    window.location.assign('/login');
    throw new Error('Your session has ended. Sign in again.');
  }
  const text = await response.text();
  if (response.ok) return text;
  throw new Error(
    errorOf(text) ?? `The server responded with status ${response.status}. Its log may say why.`,
  );
}

function errorOf(text: string): string | null {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return null;
  }
}

async function send(url: string, body?: object): Promise<Response> {
  const post = body && {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  };
  try {
    return await fetch(url, { cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS), ...post });
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Error(
      timedOut
        ? `The server did not respond within ${TIMEOUT_MS / 1_000} s.`
        : 'The server cannot be reached. Check that it runs, and your connection.',
    );
  }
}
