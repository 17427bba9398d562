import { createHmac, hkdfSync } from 'node:crypto';
import { secretsEqual } from './secrets';

const SESSION_SECONDS = 12 * 60 * 60;

/**
 * A cookie value that proves the password was given: `v1.<expires at, seconds>.<signature>`. Nothing is
 * stored: a session ends by its time, or all of them at once when the password changes.
 */
export function signSession(password: string, nowMs: number): string {
  const payload = `v1.${Math.floor(nowMs / 1000) + SESSION_SECONDS}`;
  return `${payload}.${signature(password, payload)}`;
}

/** True when `cookieValue` was signed with this password and its time is not over. */
export function verifySession(password: string, cookieValue: string, nowMs: number): boolean {
  const match = /^(v1\.(\d{1,12}))\.([\w-]{43})$/.exec(cookieValue);
  const [, payload, expiresAtSeconds, given] = match ?? [];
  if (!payload || !expiresAtSeconds || !given) return false;
  return secretsEqual(given, signature(password, payload)) && nowMs < Number(expiresAtSeconds) * 1000;
}

/** A request, or the headers of one that has no URL of its own, as a page's. */
type Asked = Pick<Request, 'headers'> & { url?: string };

/** The session cookie's value as the browser sent it; null where there is none. */
export function readSessionCookie(asked: Asked): string | null {
  const wanted = cookieName(asked);
  for (const pair of (asked.headers.get('cookie') ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2);
    if (name === wanted && value) return value;
  }
  return null;
}

/** The `Set-Cookie` that starts the session `value`. */
export function startSessionCookie(request: Request, value: string): string {
  return setCookie(request, value, SESSION_SECONDS);
}

/** The `Set-Cookie` that makes the browser forget its session. */
export function endSessionCookie(request: Request): string {
  return setCookie(request, '', 0);
}

function setCookie(request: Request, value: string, maxAgeSeconds: number): string {
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Lax`;
  return `${cookieName(request)}=${value}; ${attributes}${cameByHttps(request) ? '; Secure' : ''}`;
}

/**
 * A browser takes a cookie named `__Host-…` from this host alone, over https, for all paths: no other host of the domain can set it. Over
 * plain http, as in development, it takes none of that name.
 */
function cookieName(asked: Asked): string {
  return cameByHttps(asked) ? '__Host-punctual_session' : 'punctual_session';
}

/** Behind a proxy the URL says http and the header says what the browser used; the first entry is the browser's. */
function cameByHttps({ headers, url }: Asked): boolean {
  const forwarded = headers.get('x-forwarded-proto')?.split(',')[0]?.trim().toLowerCase();
  return forwarded === 'https' || (url !== undefined && new URL(url).protocol === 'https:');
}

/** The label keeps this key apart from any other that may come to be derived from the same password. */
function signature(password: string, payload: string): string {
  const key = hkdfSync('sha256', password, '', 'punctual dashboard session v1', 32);
  return createHmac('sha256', Buffer.from(key)).update(payload).digest('base64url');
}
