import { describe, expect, it } from 'vitest';
import { type AccessEnv, apiAccess, dashboardAccess, requestOrigin } from '../../../lib/http/auth/access.ts';
import { signSession } from '../../../lib/http/auth/session.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);
const COOKIE = `punctual_session=${signSession('pw', NOW_MS)}`;
const FORGED = `punctual_session=${signSession('guess', NOW_MS)}`;

const BOTH: AccessEnv = { apiKey: 'key', dashboardPassword: 'pw', dashboardOpen: false };
const KEY_ONLY: AccessEnv = { apiKey: 'key', dashboardOpen: false };
const PASSWORD_ONLY: AccessEnv = { dashboardPassword: 'pw', dashboardOpen: false };
const NOTHING: AccessEnv = { dashboardOpen: false };
const EMPTY: AccessEnv = { apiKey: '', dashboardPassword: '', dashboardOpen: false };
const OPEN: AccessEnv = { dashboardOpen: true };
const OPEN_WITH_KEY: AccessEnv = { apiKey: 'key', dashboardOpen: true };

type Headers = Record<string, string>;
const key: Headers = { authorization: 'Bearer key' };
const wrongKey: Headers = { authorization: 'Bearer kex' };
const signedIn: Headers = { cookie: COOKIE };
const forged: Headers = { cookie: FORGED };
const fromUs: Headers = { 'sec-fetch-site': 'same-origin' };
const fromElsewhere: Headers = { 'sec-fetch-site': 'cross-site' };

function accessOf(env: AccessEnv, method: string, headers: Headers, dashboard = false) {
  const request = new Request('http://app.test/api/x', { method, headers: { host: 'app.test', ...headers } });
  const access = apiAccess(request, env, NOW_MS, { dashboard });
  return access.allowed ? access.by : access.status;
}

describe('apiAccess', () => {
  const cases: [label: string, actual: string | number, expected: string | number][] = [
    ['admits a read with the key', accessOf(BOTH, 'GET', key), 'api-key'],
    [
      'admits a write with the key, from any site',
      accessOf(BOTH, 'POST', { ...key, ...fromElsewhere }),
      'api-key',
    ],
    ['admits the key if no password is set', accessOf(KEY_ONLY, 'POST', key), 'api-key'],
    ['refuses a wrong key', accessOf(BOTH, 'GET', wrongKey), 401],
    ['refuses a call without credentials', accessOf(BOTH, 'GET', {}), 401],
    [
      'refuses the dashboard’s password sent as a key',
      accessOf(BOTH, 'GET', { authorization: 'Bearer pw' }),
      401,
    ],
    ['admits a read with a session', accessOf(BOTH, 'GET', signedIn), 'session'],
    [
      'admits a read with a session, even if another site linked here',
      accessOf(BOTH, 'GET', { ...signedIn, ...fromElsewhere }),
      'session',
    ],
    [
      'admits a write with a session from the dashboard',
      accessOf(BOTH, 'POST', { ...signedIn, ...fromUs }),
      'session',
    ],
    [
      'admits a session if no key is set',
      accessOf(PASSWORD_ONLY, 'DELETE', { ...signedIn, ...fromUs }),
      'session',
    ],
    [
      'refuses a write with a session from another site',
      accessOf(BOTH, 'POST', { ...signedIn, ...fromElsewhere }),
      403,
    ],
    ['refuses a write with a session if it names no origin', accessOf(BOTH, 'POST', signedIn), 403],
    ['refuses a forged session', accessOf(BOTH, 'GET', forged), 401],
    ['refuses a session if no password is set', accessOf(KEY_ONLY, 'GET', signedIn), 401],
    ['opens the dashboard’s reads in development', accessOf(OPEN, 'GET', {}, true), 'open'],
    [
      'opens the dashboard’s reads in development even if a key is set',
      accessOf(OPEN_WITH_KEY, 'GET', {}, true),
      'open',
    ],
    ['opens no other reads', accessOf(OPEN_WITH_KEY, 'GET', {}), 401],
    ['opens no writes', accessOf(OPEN_WITH_KEY, 'POST', fromUs, true), 401],
    ['opens nothing if a password is set', accessOf({ ...BOTH, dashboardOpen: true }, 'GET', {}, true), 401],
    ['answers 503 if nothing is set', accessOf(NOTHING, 'GET', key), 503],
    [
      'answers 503 to a write if the dashboard is open and no key is set',
      accessOf(OPEN, 'POST', key, true),
      503,
    ],
    ['treats empty settings as unset', accessOf(EMPTY, 'GET', { authorization: 'Bearer ' }), 503],
  ];
  it.each(cases)('%s', (_label, actual, expected) => expect(actual).toBe(expected));

  it('names the variables to set', () => {
    const request = new Request('http://app.test/');
    expect(apiAccess(request, NOTHING, NOW_MS)).toMatchObject({
      message: expect.stringContaining('API_KEY'),
    });
    expect(apiAccess(request, NOTHING, NOW_MS, { dashboard: true })).toMatchObject({
      message: expect.stringMatching(/DASHBOARD_PASSWORD.*API_KEY/),
    });
  });
});

describe('dashboardAccess', () => {
  const value = signSession('pw', NOW_MS);
  it.each([
    ['shows the dashboard to a signed-in user', BOTH, value, 'session'],
    ['requires sign-in without a session', BOTH, null, 'sign in'],
    [
      'requires sign-in if the session was signed with another password',
      BOTH,
      signSession('old', NOW_MS),
      'sign in',
    ],
    ['is open in development without a password', OPEN, null, 'open'],
    [
      'stays closed in production without a password, even if a key is set',
      KEY_ONLY,
      value,
      'not configured',
    ],
  ] as const)('%s', (_label, env, cookie, expected) =>
    expect(dashboardAccess(env, cookie, NOW_MS)).toBe(expected),
  );
});

describe('requestOrigin', () => {
  const from = (headers: Headers) => requestOrigin(new Request('http://app.test/', { headers }));

  it('prefers Sec-Fetch-Site to Origin', () => {
    expect(from({ host: 'app.test', origin: 'http://app.test', 'sec-fetch-site': 'cross-site' })).toBe(
      'other',
    );
    expect(from({ 'sec-fetch-site': 'same-site' })).toBe('other');
    expect(from({ 'sec-fetch-site': 'same-origin' })).toBe('same');
  });

  it('compares Origin with the requested host, port included', () => {
    expect(from({ host: 'app.test:3000', origin: 'http://app.test:3000' })).toBe('same');
    expect(from({ host: 'inner:3000', 'x-forwarded-host': 'app.test', origin: 'https://app.test' })).toBe(
      'same',
    );
    expect(from({ host: 'app.test:3000', origin: 'http://app.test:4000' })).toBe('other');
    expect(from({ host: 'app.test', origin: 'http://app.test.evil.test' })).toBe('other');
    expect(from({ host: 'app.test', origin: 'nonsense' })).toBe('other');
  });

  it('treats a missing or null Origin as unknown', () => {
    expect(from({ host: 'app.test' })).toBe('unknown');
    expect(from({ host: 'app.test', origin: 'null' })).toBe('unknown');
  });
});
