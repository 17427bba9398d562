import { createHmac, hkdfSync } from 'node:crypto';
import { secretsEqual } from './secrets.ts';

const SESSION_SECONDS = 12 * 60 * 60;

/**
 * Returns a cookie value that proves a sign-in: `v1.<expires at, seconds>.<signature>`. The server stores nothing: a session ends after 12 hours,
 * and a new password ends all sessions.
 */
export function signSession(password: string, nowMs: number): string {
  const payload = `v1.${Math.floor(nowMs / 1000) + SESSION_SECONDS}`;
  return `${payload}.${signature(password, payload)}`;
}

/** Whether `cookieValue` was signed with this password and has not expired. */
export function verifySession(password: string, cookieValue: string, nowMs: number): boolean {
  const match = /^(v1\.(\d{1,12}))\.([\w-]{43})$/.exec(cookieValue);
  const [, payload, expiresAtSeconds, sent] = match ?? [];
  if (!payload || !expiresAtSeconds || !sent) return false;
  return secretsEqual(sent, signature(password, payload)) && nowMs < Number(expiresAtSeconds) * 1000;
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
  const key = hkdfSync('sha256', password, '', 'punctual dashboard session v1', 32);
  return createHmac('sha256', Buffer.from(key)).update(payload).digest('base64url');
}
