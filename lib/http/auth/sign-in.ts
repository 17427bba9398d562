import { z } from 'zod';
import { accessEnv } from '../../services/env.ts';
import { readBody } from '../body.ts';
import { storableText } from '../input/storable-text.ts';
import { json, problem } from '../respond.ts';
import { requestOrigin, visitorName } from './access.ts';
import { clientAddress } from './client-address.ts';
import { countFailedSignIn } from './failed-sign-ins.ts';
import { secretsEqual } from './secrets.ts';
import { endSessionCookie, signSession, startSessionCookie } from './session.ts';

/** A caller without the password must not fill the memory. */
const maxBodyBytes = 4_096;

export const signInInput = z.object({
  password: z.string(),
  name: storableText(60)
    .transform((name) => name.trim() || visitorName)
    .default(visitorName)
    .describe('How histories and the audit name the visitor.'),
});

/** Signs in with `{ "password", "name"? }` as JSON, or with the login page's form, which gets redirects. The password decides the role. */
export async function signIn(request: Request): Promise<Response> {
  const isForm = !request.headers.get('content-type')?.toLowerCase().startsWith('application/json');
  const { passwords, onVercel } = accessEnv();
  if (!passwords.operator && !passwords.viewer) {
    return isForm
      ? seeOther('/login')
      : problem(503, 'not_configured', 'Nobody can sign in yet: set DASHBOARD_PASSWORD on the server.');
  }
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign in from the dashboard’s own page.');

  const input = signInInput.safeParse(await readInput(request, isForm));
  if (!input.success) {
    if (isForm)
      return seeOther(input.error.issues[0]?.path[0] === 'name' ? '/login?name=1' : '/login?wrong=1');
    const message = 'Send { "password": "…", "name": "…" } as JSON; the name has at most 60 characters.';
    return problem(400, 'invalid', message);
  }

  const { name, password: sent } = input.data;
  const nowMs = Date.now();
  // Compares both, so that the time does not reveal which one matched. A password that is set for both roles gives the smaller one.
  const [role] = (['viewer', 'operator'] as const).filter((one) => secretsEqual(sent, passwords[one] ?? ''));
  const password = role && passwords[role];
  // The password comes before the limit, so that failures of others never lock out its owner.
  if (!password) {
    const retryAfterSeconds = countFailedSignIn(clientAddress(request, onVercel), nowMs);
    if (retryAfterSeconds > 0) {
      return isForm
        ? seeOther('/login?wait=1')
        : problem(429, 'too_many_tries', 'Too many wrong passwords: wait a minute.', { retryAfterSeconds });
    }
    return isForm ? seeOther('/login?wrong=1') : problem(401, 'unauthorised', 'That is not the password.');
  }

  const session = signSession({ name, role }, password, nowMs);
  const cookie = { 'Set-Cookie': startSessionCookie(request, session) };
  return isForm ? seeOther('/', cookie) : json(200, { signed_in: true, name, role }, cookie);
}

/** Signs out. */
export function signOut(request: Request): Response {
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign out from the dashboard’s own page.');
  return json(200, { signed_in: false }, { 'Set-Cookie': endSessionCookie(request) });
}

/** Signs out by a form, which cannot send a DELETE. */
export function signOutByForm(request: Request): Response {
  if (requestOrigin(request) === 'other')
    return problem(403, 'cross_origin', 'Sign out from the dashboard’s own page.');
  return seeOther('/login', { 'Set-Cookie': endSessionCookie(request) });
}

/** The location is relative, so it works behind any proxy. */
function seeOther(location: string, headers: Record<string, string> = {}): Response {
  return new Response(null, {
    status: 303,
    headers: { Location: location, 'Cache-Control': 'no-store', ...headers },
  });
}

/** Returns the fields of the body; null if it cannot be read. */
async function readInput(request: Request, isForm: boolean): Promise<unknown> {
  try {
    const body = (await readBody(request, maxBodyBytes)).toString();
    return isForm ? Object.fromEntries(new URLSearchParams(body)) : JSON.parse(body);
  } catch {
    return null;
  }
}
