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
const passwords = { operator: 'correct horse', viewer: 'battery staple' };
const mira = { name: 'Mira Žižek', role: 'operator' } as const;
const cookie = signSession(mira, 'correct horse', NOW_MS);

describe('a session', () => {
  it.each([
    ['is valid with its password', passwords, 0, mira],
    ['is valid for twelve hours', passwords, HOURS_12 - 1, mira],
    ['ends after twelve hours', passwords, HOURS_12, null],
    ['ends when the password changes', { operator: 'another horse' }, 0, null],
    ['ends when the password is unset', { viewer: 'correct horse' }, 0, null],
  ])('%s', (_label, against, afterMs, session) => {
    expect(verifySession(against, cookie, NOW_MS + afterMs)).toEqual(session);
  });

  it('of a viewer is signed with the viewers’ password', () => {
    const ola = { name: 'Ola', role: 'viewer' } as const;
    expect(verifySession(passwords, signSession(ola, 'battery staple', NOW_MS), NOW_MS)).toEqual(ola);
    expect(verifySession(passwords, signSession(ola, 'correct horse', NOW_MS), NOW_MS)).toBeNull();
  });

  it('of a viewer cannot become an operator’s, even if both have one password', () => {
    const same = { operator: 'pw', viewer: 'pw' };
    const value = signSession({ name: 'Ola', role: 'viewer' }, 'pw', NOW_MS);
    expect(verifySession(same, value, NOW_MS)).not.toBeNull();
    expect(verifySession(same, value.replace('.viewer.', '.operator.'), NOW_MS)).toBeNull();
  });

  const [version, expiresAt, role, name, signature] = cookie.split('.');
  const changed = Array.from(
    cookie,
    (was, i) => cookie.slice(0, i) + (was === 'A' ? 'B' : 'A') + cookie.slice(i + 1),
  );
  const other = Buffer.from('Ola').toString('base64url');
  it.each<[label: string, values: string[]]>([
    ['its bearer extends it', [`${version}.${Number(expiresAt) + 1}.${role}.${name}.${signature}`]],
    ['its bearer takes another name', [`${version}.${expiresAt}.${role}.${other}.${signature}`]],
    ['any one character is changed', changed],
    [
      'it is malformed',
      ['', 'v2', 'v2..', 'v2.9999999999.operator..', `v2.NaN.operator.a.${'A'.repeat(43)}`],
    ],
    ['anything is added', [`${cookie}=`, `${cookie}.x`, ` ${cookie}`, cookie.replace('v2.', 'v2.-')]],
    ['it is of another version', [`v1${cookie.slice(2)}`, `v1.${expiresAt}.${signature}`]],
  ])('is refused if %s', (_label, values) => {
    for (const value of values) expect(verifySession(passwords, value, NOW_MS), value).toBeNull();
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
