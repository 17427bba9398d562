import { createHmac, hkdfSync } from 'node:crypto';
import { secretsEqual } from './secrets.ts';

const SESSION_SECONDS = 12 * 60 * 60;

/** The dashboard's passwords, by the role that they give. */
export interface SessionPasswords {
  operator?: string;
  viewer?: string;
}

export interface Session {
  name: string;
  role: keyof SessionPasswords;
}

/**
 * Returns a cookie value that proves a sign-in: `v2.<expires at, seconds>.<role>.<name, base64url>.<signature>`. The server stores nothing: a session
 * ends after 12 hours, and a new password ends all sessions of its role.
 */
export function signSession({ name, role }: Session, password: string, nowMs: number): string {
  const expiresAtSeconds = Math.floor(nowMs / 1000) + SESSION_SECONDS;
  const payload = `v2.${expiresAtSeconds}.${role}.${Buffer.from(name).toString('base64url')}`;
  return `${payload}.${signature(password, payload)}`;
}

/** Returns the session if `cookieValue` was signed with the password of its role and has not expired, else null. */
export function verifySession(
  passwords: SessionPasswords,
  cookieValue: string,
  nowMs: number,
): Session | null {
  const match = /^(v2\.(\d{1,12})\.(operator|viewer)\.([\w-]{1,400}))\.([\w-]{43})$/.exec(cookieValue);
  const [, payload = '', expiresAtSeconds, role, name = '', sent = ''] = match ?? [];
  const password = passwords[role as Session['role']];
  if (!match || password === undefined) return null;
  if (!secretsEqual(sent, signature(password, payload)) || nowMs >= Number(expiresAtSeconds) * 1000)
    return null;
  return { name: Buffer.from(name, 'base64url').toString(), role: role as Session['role'] };
}

/** A request, or only its headers: a page has no request URL. */
type RequestHead = Pick<Request, 'headers'> & { url?: string };

/** Returns the session cookie's value, or null if there is none. */
export function readSessionCookie(request: RequestHead): string | null {
  const wanted = cookieName(request);
  for (const pair of (request.headers.get('cookie') ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === wanted && value) return value;
  }
  return null;
}

/** Returns the `Set-Cookie` header that starts a session with `value`. */
export function startSessionCookie(request: Request, value: string): string {
  return setCookie(request, value, SESSION_SECONDS);
}

/** Returns the `Set-Cookie` header that deletes the session cookie. */
export function endSessionCookie(request: Request): string {
  return setCookie(request, '', 0);
}

function setCookie(request: Request, value: string, maxAgeSeconds: number): string {
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax`;
  return `${cookieName(request)}=${value}; ${attributes}${isHttps(request) ? '; Secure' : ''}`;
}

/**
 * Browsers accept a `__Host-` cookie only over https, from this host and for all paths, so no other host of the domain can set it. Over plain
 * http, as in development, they reject the name.
 */
function cookieName(request: RequestHead): string {
  return isHttps(request) ? '__Host-punctual_session' : 'punctual_session';
}

/** Whether the browser used https. Behind a proxy the URL has http, and the first entry of `X-Forwarded-Proto` has the browser's protocol. */
function isHttps({ headers, url }: RequestHead): boolean {
  const forwarded = headers.get('x-forwarded-proto')?.split(',')[0]?.trim().toLowerCase();
  return forwarded === 'https' || (url !== undefined && new URL(url).protocol === 'https:');
}

/** The label separates this key from other keys that may be derived from the password. */
function signature(password: string, payload: string): string {
  const key = hkdfSync('sha256', password, '', 'punctual dashboard session v2', 32);
  return createHmac('sha256', Buffer.from(key)).update(payload).digest('base64url');
}
