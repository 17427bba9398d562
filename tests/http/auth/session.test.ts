import { describe, expect, it } from 'vitest';
import {
  endSessionCookie,
  readSessionCookie,
  signSession,
  startSessionCookie,
  verifySession,
} from '../../../lib/http/auth/session.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const HOUR_MS = 3_600_000;
const cookie = signSession('correct horse', NOW_MS);

describe('a session', () => {
  it('is valid for twelve hours and no longer', () => {
    expect(verifySession('correct horse', cookie, NOW_MS)).toBe(true);
    expect(verifySession('correct horse', cookie, NOW_MS + 12 * HOUR_MS - 1)).toBe(true);
    expect(verifySession('correct horse', cookie, NOW_MS + 12 * HOUR_MS)).toBe(false);
  });

  it('ends when the password changes', () => {
    expect(verifySession('another horse', cookie, NOW_MS)).toBe(false);
  });

  it('cannot be extended by its bearer', () => {
    const [version, expiresAt, signature] = cookie.split('.');
    const later = `${version}.${Number(expiresAt) + 1}.${signature}`;
    expect(verifySession('correct horse', later, NOW_MS)).toBe(false);
  });

  it('is refused if any one character is changed', () => {
    for (let i = 0; i < cookie.length; i += 1) {
      const changed = `${cookie.slice(0, i)}${cookie[i] === 'A' ? 'B' : 'A'}${cookie.slice(i + 1)}`;
      expect(verifySession('correct horse', changed, NOW_MS), `character ${i}`).toBe(false);
    }
  });

  it('is refused if it is malformed', () => {
    const malformed = [
      '',
      'v1',
      'v1..',
      'v1.9999999999.',
      `${cookie}=`,
      `${cookie}.x`,
      ` ${cookie}`,
      `v2${cookie.slice(2)}`,
    ];
    for (const value of [...malformed, cookie.replace('v1.', 'v1.-'), `v1.NaN.${'A'.repeat(43)}`]) {
      expect(verifySession('correct horse', value, NOW_MS), value).toBe(false);
    }
  });
});

describe('the session cookie', () => {
  const at = (url: string, headers: Record<string, string> = {}) => new Request(url, { headers });

  it('is read from among other cookies, and is null if there is none', () => {
    expect(readSessionCookie(at('http://app.test/', { cookie: 'a=1; punctual_session=v1.2.x; b=2' }))).toBe(
      'v1.2.x',
    );
    expect(readSessionCookie(at('http://app.test/', { cookie: 'not_punctual_session=v1' }))).toBeNull();
    expect(readSessionCookie(at('http://app.test/', { cookie: 'punctual_session=' }))).toBeNull();
    expect(readSessionCookie(at('http://app.test/'))).toBeNull();
  });

  it('is hidden from scripts and other sites, and lasts twelve hours', () => {
    expect(startSessionCookie(at('http://app.test/'), 'v1.2.x')).toBe(
      'punctual_session=v1.2.x; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax',
    );
  });

  it.each([
    at('https://app.test/'),
    at('http://app.test/', { 'x-forwarded-proto': 'https' }),
    at('http://app.test/', { 'x-forwarded-proto': 'https, http' }),
  ])('is limited to this host and to https if the browser uses https, also behind a proxy', (request) => {
    expect(startSessionCookie(request, 'v')).toBe(
      '__Host-punctual_session=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax; Secure',
    );
  });

  it('has its plain name if the browser uses http', () => {
    const request = at('http://app.test/', { 'x-forwarded-proto': 'http' });
    expect(startSessionCookie(request, 'v')).toMatch(/^punctual_session=v; (?!.*Secure)/);
  });

  it('is read over https only under the name that no other host can set', () => {
    const both = { cookie: 'punctual_session=planted; __Host-punctual_session=own' };
    expect(readSessionCookie(at('https://app.test/', both))).toBe('own');
    expect(readSessionCookie(at('https://app.test/', { cookie: 'punctual_session=planted' }))).toBeNull();
    expect(readSessionCookie(at('http://app.test/', both))).toBe('planted');
    const page = { headers: new Headers({ ...both, 'x-forwarded-proto': 'https' }) };
    expect(readSessionCookie(page)).toBe('own');
  });

  it('is deleted when the session ends', () => {
    expect(endSessionCookie(at('https://app.test/'))).toBe(
      '__Host-punctual_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure',
    );
  });
});
