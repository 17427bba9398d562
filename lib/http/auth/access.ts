import type { ServerEnv } from '../../services/env.ts';
import { bearerToken, secretsEqual } from './secrets.ts';
import { readSessionCookie, type SessionPasswords, verifySession } from './session.ts';

/** An operator may do everything, a viewer may only read. */
export type Role = 'operator' | 'viewer';

/** Who calls. Histories and the audit record the name. */
export interface Actor {
  name: string;
  role: Role;
}

/** The name of callers with API_KEY or CRON_SECRET. */
export const apiName = 'the API';
/** The name of visitors who gave none. */
export const visitorName = 'a dashboard user';

/** The settings that access depends on. */
export interface AccessEnv {
  apiKeys: ServerEnv['apiKeys'];
  passwords: SessionPasswords;
  /** In development without a password, everyone who reaches the server may read the dashboard. */
  dashboardOpen: boolean;
  /** In the demo they may also act: its data are nobody’s. */
  isDemo?: boolean;
  /** The header in which a proxy names the visitor. */
  identityHeader?: string;
}

export type Access =
  | { allowed: true; by: 'api-key' | 'session' | 'open'; actor: Actor }
  | { allowed: false; status: 401 | 403 | 503; kind: DenialKind; message: string };

type DenialKind = 'unauthorised' | 'cross_origin' | 'not_configured' | 'viewer';

/**
 * Decides on a request to a route that accepts an API key or the dashboard's cookie. A viewer may read, and nothing else. `dashboard: true` marks
 * reads that the dashboard itself makes. Only those are ever open without credentials, and in the demo what its pages do.
 */
export function apiAccess(
  request: Pick<Request, 'headers' | 'method'> & { url?: string },
  env: AccessEnv,
  nowMs: number,
  { dashboard = false }: { dashboard?: boolean } = {},
): Access {
  const isRead = request.method === 'GET' || request.method === 'HEAD';

  const caller = findApiKey(bearerToken(request), env.apiKeys);
  if (caller) return isRead ? allow('api-key', caller) : allowChange('api-key', caller);

  const visitor = dashboardVisitor(request, env, nowMs);
  if (visitor.access === 'session') {
    const { name, role } = visitor;
    if (isRead) return allow('session', { name, role });
    // A browser adds the cookie, but no key, to requests that other sites cause.
    if (requestOrigin(request) === 'same') return allowChange('session', { name, role });
    return deny(
      403,
      'cross_origin',
      'Nothing was changed: a request with the dashboard’s cookie must come from the dashboard. Send API_KEY instead.',
    );
  }

  if (visitor.access === 'open') {
    const { name, role } = visitor;
    const mayAct = role === 'operator' && requestOrigin(request) === 'same';
    if (isRead ? dashboard : mayAct) return allow('open', { name, role });
  }

  if (env.apiKeys.length === 0 && !hasPassword(env)) {
    const variables = dashboard
      ? 'DASHBOARD_PASSWORD (to sign in) or API_KEY (to send as a bearer token)'
      : 'API_KEY';
    return deny(503, 'not_configured', `No access is configured: set ${variables} on the server.`);
  }
  return deny(401, 'unauthorised', 'Send “Authorization: Bearer <API_KEY>”, or sign in to the dashboard.');
}

/** A visitor of the dashboard: signed in, where it is open to everyone, without a session, or without a password on the server. */
export type Visitor =
  | ({ access: 'session' | 'open' } & Actor)
  | { access: 'sign in' | 'not configured'; name: null; role: null };

/** Returns who visits the dashboard. A page has only the headers of its request. */
export function dashboardVisitor(
  request: Pick<Request, 'headers'> & { url?: string },
  env: AccessEnv,
  nowMs: number,
): Visitor {
  if (!hasPassword(env)) {
    return env.dashboardOpen
      ? { access: 'open', name: visitorName, role: env.isDemo ? 'operator' : 'viewer' }
      : { access: 'not configured', name: null, role: null };
  }
  const cookie = readSessionCookie(request);
  const session = cookie === null ? null : verifySession(env.passwords, cookie, nowMs);
  if (!session) return { access: 'sign in', name: null, role: null };
  const name = identityOf(request.headers, env.identityHeader) ?? session.name;
  return { access: 'session', name, role: session.role };
}

/**
 * Returns whether the page that made a request is of this host. A page cannot set `Sec-Fetch-Site`, but browsers omit it on plain http. There
 * `Origin` must name the requested host.
 */
export function requestOrigin(request: Pick<Request, 'headers'>): 'same' | 'other' | 'unknown' {
  const site = request.headers.get('sec-fetch-site');
  // `none`: the user opened it from the address bar or a bookmark.
  if (site !== null) return site === 'same-origin' || site === 'none' ? 'same' : 'other';
  const origin = request.headers.get('origin');
  // A form sends `null` under the referrer policy `no-referrer`, and so does a sandboxed frame: it proves nothing.
  if (origin === null || origin === 'null') return 'unknown';
  const hosts = [request.headers.get('host'), request.headers.get('x-forwarded-host')];
  return URL.canParse(origin) && hosts.includes(new URL(origin).host) ? 'same' : 'other';
}

/** Compares every key, so that the time does not reveal which one matched. */
function findApiKey(token: string | null, apiKeys: ServerEnv['apiKeys']): Actor | undefined {
  const [match] = apiKeys.filter(({ key }) => token !== null && secretsEqual(token, key));
  return match && { name: match.name, role: match.role };
}

function hasPassword({ passwords }: AccessEnv): boolean {
  return passwords.operator !== undefined || passwords.viewer !== undefined;
}

/** Node reads header bytes as Latin-1, and proxies write names in UTF-8. */
function identityOf(headers: Headers, header: string | undefined): string | null {
  const value = header === undefined ? null : headers.get(header);
  const name = Buffer.from(value ?? '', 'latin1')
    .toString('utf8')
    .trim()
    .slice(0, 60)
    .toWellFormed();
  return name || null;
}

function allow(by: 'api-key' | 'session' | 'open', actor: Actor): Access {
  return { allowed: true, by, actor };
}

function allowChange(by: 'api-key' | 'session', actor: Actor): Access {
  if (actor.role === 'operator') return allow(by, actor);
  const message =
    by === 'api-key'
      ? 'Nothing was changed: this key may only read. Send an operator’s key.'
      : 'Nothing was changed: you are signed in as a viewer, who may only read. Sign in with the operators’ password.';
  return deny(403, 'viewer', message);
}

function deny(status: 401 | 403 | 503, kind: DenialKind, message: string): Access {
  return { allowed: false, status, kind, message };
}
