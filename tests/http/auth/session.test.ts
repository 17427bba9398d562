import { describe, expect, it } from 'vitest';
import {
  endSessionCookie,
  readSessionCookie,
  signSession,
  startSessionCookie,
  verifySession,
} from '../../../lib/http/auth/session.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const HOURS_12 = 12 * 3_600_000;
const cookie = signSession('correct horse', NOW_MS);

describe('a session', () => {
  it.each([
    ['is valid with its password', 'correct horse', 0, true],
    ['is valid for twelve hours', 'correct horse', HOURS_12 - 1, true],
    ['ends after twelve hours', 'correct horse', HOURS_12, false],
    ['ends when the password changes', 'another horse', 0, false],
  ])('%s', (_label, password, afterMs, valid) => {
    expect(verifySession(password, cookie, NOW_MS + afterMs)).toBe(valid);
  });

  const [version, expiresAt, signature] = cookie.split('.');
  const changed = Array.from(
    cookie,
    (was, i) => cookie.slice(0, i) + (was === 'A' ? 'B' : 'A') + cookie.slice(i + 1),
  );
  it.each<[label: string, values: string[]]>([
    ['its bearer extends it', [`${version}.${Number(expiresAt) + 1}.${signature}`]],
    ['any one character is changed', changed],
    ['it is malformed', ['', 'v1', 'v1..', 'v1.9999999999.', `v1.NaN.${'A'.repeat(43)}`]],
    ['anything is added', [`${cookie}=`, `${cookie}.x`, ` ${cookie}`, cookie.replace('v1.', 'v1.-')]],
    ['it is of another version', [`v2${cookie.slice(2)}`]],
  ])('is refused if %s', (_label, values) => {
    for (const value of values) expect(verifySession('correct horse', value, NOW_MS), value).toBe(false);
  });
});

describe('the session cookie', () => {
  const at = (url: string, headers: Record<string, string> = {}) => new Request(url, { headers });
  const https = 'https://app.test/';
  const http = 'http://app.test/';
  const forwarded = (proto: string) => at(http, { 'x-forwarded-proto': proto });
  const planted = 'punctual_session=planted';
  const both = `${planted}; __Host-punctual_session=own`;

  it.each([
    ['among other cookies', at(http, { cookie: 'a=1; punctual_session=v1.2.x; b=2' }), 'v1.2.x'],
    ['only under its whole name', at(http, { cookie: 'not_punctual_session=v1' }), null],
    ['as null if it is empty', at(http, { cookie: 'punctual_session=' }), null],
    ['as null if there is none', at(http), null],
    ['over https under the name that no other host can set', at(https, { cookie: both }), 'own'],
    ['over https under no other name', at(https, { cookie: planted }), null],
    ['over http under its plain name', at(http, { cookie: both }), 'planted'],
  ])('is read %s', (_label, request, value) => {
    expect(readSessionCookie(request)).toBe(value);
  });

  it('is read by a page, which has no URL, under the name of the browser’s protocol', () => {
    const headers = new Headers({ cookie: both, 'x-forwarded-proto': 'https' });
    expect(readSessionCookie({ headers })).toBe('own');
  });

  const hidden = 'Path=/; Max-Age=43200; HttpOnly; SameSite=Lax';
  it.each([
    ['hidden from scripts and other sites', at(http), `punctual_session=v; ${hidden}`],
    ['plain if the browser uses http', forwarded('http'), `punctual_session=v; ${hidden}`],
    ['of this host and https alone over https', at(https), `__Host-punctual_session=v; ${hidden}; Secure`],
    ['so behind a proxy', forwarded('https'), `__Host-punctual_session=v; ${hidden}; Secure`],
    ['so behind two proxies', forwarded('https, http'), `__Host-punctual_session=v; ${hidden}; Secure`],
  ])('is %s', (_label, request, expected) => {
    expect(startSessionCookie(request, 'v')).toBe(expected);
  });

  it('is deleted when the session ends', () => {
    expect(endSessionCookie(at(https))).toBe(
      '__Host-punctual_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure',
    );
  });
});
