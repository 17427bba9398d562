import { requestOrigin } from '@/lib/http/auth/access.ts';
import { clientAddress } from '@/lib/http/auth/client-address.ts';
import { countFailedSignIn } from '@/lib/http/auth/failed-sign-ins.ts';
import { secretsEqual } from '@/lib/http/auth/secrets.ts';
import { endSessionCookie, signSession, startSessionCookie } from '@/lib/http/auth/session.ts';
import { readBody } from '@/lib/http/body.ts';
import { json, problem } from '@/lib/http/respond.ts';
import { accessEnv } from '@/lib/services/env.ts';

/** A caller without the password must not fill the memory. */
const maxBodyBytes = 4_096;

/** Signs in with `{ "password": … }` as JSON, or with the login page's form, which gets redirects. */
export async function POST(request: Request): Promise<Response> {
  const isForm = !request.headers.get('content-type')?.toLowerCase().startsWith('application/json');
  const { dashboardPassword, onVercel } = accessEnv();
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
  // The password comes before the limit, so that failures of others never lock out its owner.
  if (!secretsEqual(password, dashboardPassword)) {
    const retryAfterSeconds = countFailedSignIn(clientAddress(request, onVercel), nowMs);
    if (retryAfterSeconds > 0) {
      return isForm
        ? seeOther('/login?wait=1')
        : problem(429, 'too_many_tries', 'Too many wrong passwords: wait a minute.', { retryAfterSeconds });
    }
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

/** The location is relative, so it works behind any proxy. */
function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, {
    status: 303,
    headers: { Location: location, 'Cache-Control': 'no-store', ...headers },
  });
}

async function readPassword(request: Request, isForm: boolean): Promise<string | null> {
  try {
    const body = (await readBody(request, maxBodyBytes)).toString();
    if (isForm) return new URLSearchParams(body).get('password');
    const value: unknown = JSON.parse(body);
    const password =
      typeof value === 'object' && value !== null && 'password' in value ? value.password : null;
    return typeof password === 'string' ? password : null;
  } catch {
    return null;
  }
}
