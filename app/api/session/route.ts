import { requestOrigin } from '@/lib/server/access';
import { accessEnv } from '@/lib/server/env';
import { json, problem } from '@/lib/server/respond';
import { secretsEqual } from '@/lib/server/secrets';
import { endSessionCookie, signSession, startSessionCookie } from '@/lib/server/session';

const MAX_BODY_BYTES = 4_096;
const WRONG_TRIES = 10;
const WINDOW_MS = 60_000;

/** When the last wrong passwords were given, oldest first. Of this process only: it slows guessing, no more. */
let wrongAtMs: number[] = [];

/** Signs in: `{ "password": … }` as JSON, or the login page's form, which is led on by redirects. */
export async function POST(request: Request): Promise<Response> {
  const isForm = !request.headers.get('content-type')?.toLowerCase().startsWith('application/json');
  const { dashboardPassword } = accessEnv();
  if (!dashboardPassword) {
    return isForm
      ? seeOther('/login')
      : problem(503, 'not_configured', 'Nobody can sign in yet: set DASHBOARD_PASSWORD on the server.');
  }
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign in from the dashboard’s own page.');

  const password = await readPassword(request, isForm);
  if (password === null) {
    return isForm ? seeOther('/login?wrong=1') : problem(400, 'invalid', 'Send { "password": "…" } as JSON.');
  }

  const nowMs = Date.now();
  wrongAtMs = wrongAtMs.filter((atMs) => nowMs - atMs < WINDOW_MS);
  const [firstWrongAtMs] = wrongAtMs;
  if (firstWrongAtMs !== undefined && wrongAtMs.length >= WRONG_TRIES) {
    // Even the right password waits: an answer now would tell a guesser which one it is.
    const retryAfterSeconds = (firstWrongAtMs + WINDOW_MS - nowMs) / 1000;
    return isForm
      ? seeOther('/login?wait=1')
      : problem(429, 'too_many_tries', 'Too many wrong passwords: wait a minute.', { retryAfterSeconds });
  }
  if (!secretsEqual(password, dashboardPassword)) {
    wrongAtMs.push(nowMs);
    return isForm ? seeOther('/login?wrong=1') : problem(401, 'unauthorised', 'That is not the password.');
  }

  const cookie = { 'Set-Cookie': startSessionCookie(request, signSession(dashboardPassword, nowMs)) };
  return isForm ? seeOther('/', cookie) : json(200, { signed_in: true }, cookie);
}

/** Signs out. */
export function DELETE(request: Request): Response {
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign out from the dashboard’s own page.');
  return json(200, { signed_in: false }, { 'Set-Cookie': endSessionCookie(request) });
}

/** The location is relative, so that it holds behind any proxy. */
function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, {
    status: 303,
    headers: { Location: location, 'Cache-Control': 'no-store', ...headers },
  });
}

async function readPassword(request: Request, isForm: boolean): Promise<string | null> {
  const body = await readBody(request);
  if (body === null) return null;
  if (isForm) return new URLSearchParams(body).get('password');
  try {
    const value: unknown = JSON.parse(body);
    const password =
      typeof value === 'object' && value !== null && 'password' in value ? value.password : null;
    return typeof password === 'string' ? password : null;
  } catch {
    return null;
  }
}

/** Null for a body over the limit: whoever has no password yet must not fill the memory. */
async function readBody(request: Request): Promise<string | null> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) return null;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
