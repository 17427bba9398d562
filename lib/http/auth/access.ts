import { bearerToken, secretsEqual } from './secrets';
import { readSessionCookie, verifySession } from './session';

/** The settings that decide who comes in. An empty string counts as not set. */
export interface AccessEnv {
  apiKey?: string;
  dashboardPassword?: string;
  /** Development, and no DASHBOARD_PASSWORD: whoever reaches the server may read the dashboard. */
  dashboardOpen: boolean;
}

export type Access =
  | { allowed: true; by: 'api-key' | 'session' | 'open' }
  | { allowed: false; status: 401 | 403 | 503; kind: RefusalKind; message: string };

export type RefusalKind = 'unauthorised' | 'cross_origin' | 'not_configured';

/**
 * Decides on one request to a route that takes API_KEY or the dashboard's cookie. `dashboard: true` marks
 * the reads that the dashboard itself makes; only those are ever open.
 */
export function apiAccess(
  request: Request,
  env: AccessEnv,
  nowMs: number,
  { dashboard = false }: { dashboard?: boolean } = {},
): Access {
  const isRead = request.method === 'GET' || request.method === 'HEAD';

  const token = bearerToken(request);
  if (env.apiKey && token !== null && secretsEqual(token, env.apiKey))
    return { allowed: true, by: 'api-key' };

  const cookie = readSessionCookie(request);
  if (dashboardDoor(env, cookie, nowMs) === 'session') {
    // A browser adds the cookie to requests that other sites make it send; a key it does not.
    if (isRead || requestOrigin(request) === 'same') return { allowed: true, by: 'session' };
    return refusal(
      403,
      'cross_origin',
      'A change made with the dashboard’s cookie must come from the dashboard.',
    );
  }

  if (dashboard && isRead && dashboardDoor(env, cookie, nowMs) === 'open')
    return { allowed: true, by: 'open' };

  if (!env.apiKey && !env.dashboardPassword) {
    const variables = dashboard
      ? 'DASHBOARD_PASSWORD (to sign in) or API_KEY (to send as a bearer token)'
      : 'API_KEY';
    return refusal(503, 'not_configured', `Nobody can be let in yet: set ${variables} on the server.`);
  }
  return refusal(401, 'unauthorised', 'Send “Authorization: Bearer <API_KEY>”, or sign in to the dashboard.');
}

/**
 * How a visitor of the dashboard stands: signed in, let in because it is open, asked to sign in, or in
 * front of a dashboard that no password opens yet.
 */
export function dashboardDoor(
  env: AccessEnv,
  sessionCookie: string | null,
  nowMs: number,
): 'session' | 'open' | 'sign in' | 'not configured' {
  if (!env.dashboardPassword) return env.dashboardOpen ? 'open' : 'not configured';
  return sessionCookie && verifySession(env.dashboardPassword, sessionCookie, nowMs) ? 'session' : 'sign in';
}

/**
 * Where a browser says the request was made. `Sec-Fetch-Site` cannot be set by a page, but browsers leave
 * it out on plain http; there the `Origin` must name the host that was asked.
 */
export function requestOrigin(request: Request): 'same' | 'other' | 'unsaid' {
  const site = request.headers.get('sec-fetch-site');
  // `none`: the person did it, by the address bar or a bookmark.
  if (site !== null) return site === 'same-origin' || site === 'none' ? 'same' : 'other';
  const origin = request.headers.get('origin');
  // `null` is what a form sends under the referrer policy `no-referrer`, and also a sandboxed frame: no proof.
  if (origin === null || origin === 'null') return 'unsaid';
  const hosts = [request.headers.get('host'), request.headers.get('x-forwarded-host')];
  return URL.canParse(origin) && hosts.includes(new URL(origin).host) ? 'same' : 'other';
}

function refusal(status: 401 | 403 | 503, kind: RefusalKind, message: string): Access {
  return { allowed: false, status, kind, message };
}
