import { bearerToken, secretsEqual } from './secrets.ts';
import { readSessionCookie, verifySession } from './session.ts';

/** The settings that access depends on. An empty string counts as not set. */
export interface AccessEnv {
  apiKey?: string;
  dashboardPassword?: string;
  /** In development without DASHBOARD_PASSWORD, everyone who reaches the server may read the dashboard. */
  dashboardOpen: boolean;
}

export type Access =
  | { allowed: true; by: 'api-key' | 'session' | 'open' }
  | { allowed: false; status: 401 | 403 | 503; kind: DenialKind; message: string };

type DenialKind = 'unauthorised' | 'cross_origin' | 'not_configured';

/**
 * Decides on a request to a route that accepts API_KEY or the dashboard's cookie. `dashboard: true` marks reads that the dashboard itself makes.
 * Only those are ever open without credentials.
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
  if (dashboardAccess(env, cookie, nowMs) === 'session') {
    // A browser adds the cookie, but no key, to requests that other sites cause.
    if (isRead || requestOrigin(request) === 'same') return { allowed: true, by: 'session' };
    return deny(
      403,
      'cross_origin',
      'Nothing was changed: a request with the dashboard’s cookie must come from the dashboard. Send API_KEY instead.',
    );
  }

  if (dashboard && isRead && dashboardAccess(env, cookie, nowMs) === 'open')
    return { allowed: true, by: 'open' };

  if (!env.apiKey && !env.dashboardPassword) {
    const variables = dashboard
      ? 'DASHBOARD_PASSWORD (to sign in) or API_KEY (to send as a bearer token)'
      : 'API_KEY';
    return deny(503, 'not_configured', `No access is configured: set ${variables} on the server.`);
  }
  return deny(401, 'unauthorised', 'Send “Authorization: Bearer <API_KEY>”, or sign in to the dashboard.');
}

/** Returns a dashboard visitor's access: signed in, open to everyone, sign-in required, or no password configured. */
export function dashboardAccess(
  env: AccessEnv,
  sessionCookie: string | null,
  nowMs: number,
): 'session' | 'open' | 'sign in' | 'not configured' {
  if (!env.dashboardPassword) return env.dashboardOpen ? 'open' : 'not configured';
  return sessionCookie && verifySession(env.dashboardPassword, sessionCookie, nowMs) ? 'session' : 'sign in';
}

/**
 * Returns whether the page that made a request is of this host. A page cannot set `Sec-Fetch-Site`, but browsers omit it on plain http. There
 * `Origin` must name the requested host.
 */
export function requestOrigin(request: Request): 'same' | 'other' | 'unknown' {
  const site = request.headers.get('sec-fetch-site');
  // `none`: the user opened it from the address bar or a bookmark.
  if (site !== null) return site === 'same-origin' || site === 'none' ? 'same' : 'other';
  const origin = request.headers.get('origin');
  // A form sends `null` under the referrer policy `no-referrer`, and so does a sandboxed frame: it proves nothing.
  if (origin === null || origin === 'null') return 'unknown';
  const hosts = [request.headers.get('host'), request.headers.get('x-forwarded-host')];
  return URL.canParse(origin) && hosts.includes(new URL(origin).host) ? 'same' : 'other';
}

function deny(status: 401 | 403 | 503, kind: DenialKind, message: string): Access {
  return { allowed: false, status, kind, message };
}
