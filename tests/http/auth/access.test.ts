import { describe, expect, it } from 'vitest';
import { type AccessEnv, apiAccess, dashboardAccess, requestOrigin } from '../../../lib/http/auth/access.ts';
import { signSession } from '../../../lib/http/auth/session.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);

const BOTH: AccessEnv = { apiKey: 'key', dashboardPassword: 'pw', dashboardOpen: false };
const KEY_ONLY: AccessEnv = { apiKey: 'key', dashboardOpen: false };
const PASSWORD_ONLY: AccessEnv = { dashboardPassword: 'pw', dashboardOpen: false };
const NOTHING: AccessEnv = { dashboardOpen: false };
const EMPTY: AccessEnv = { apiKey: '', dashboardPassword: '', dashboardOpen: false };
const OPEN: AccessEnv = { dashboardOpen: true };
const OPEN_WITH_KEY: AccessEnv = { apiKey: 'key', dashboardOpen: true };
const OPEN_WITH_PASSWORD: AccessEnv = { ...BOTH, dashboardOpen: true };

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const key = bearer('key');
const signedIn = { cookie: `punctual_session=${signSession('pw', NOW_MS)}` };
const forged = { cookie: `punctual_session=${signSession('guess', NOW_MS)}` };
const fromUs = { 'sec-fetch-site': 'same-origin' };
const fromElsewhere = { 'sec-fetch-site': 'cross-site' };

describe('apiAccess', () => {
  it.each<
    [string, AccessEnv, string, Record<string, string>, expected: string | number, dashboard?: boolean]
  >([
    ['admits a read with the key', BOTH, 'GET', key, 'api-key'],
    ['admits a write with the key, from any site', BOTH, 'POST', { ...key, ...fromElsewhere }, 'api-key'],
    ['admits the key if no password is set', KEY_ONLY, 'POST', key, 'api-key'],
    ['refuses a wrong key', BOTH, 'GET', bearer('kex'), 401],
    ['refuses a call without credentials', BOTH, 'GET', {}, 401],
    ['refuses the dashboard’s password sent as a key', BOTH, 'GET', bearer('pw'), 401],
    ['admits a read with a session', BOTH, 'GET', signedIn, 'session'],
    [
      'admits such a read from another site’s link',
      BOTH,
      'GET',
      { ...signedIn, ...fromElsewhere },
      'session',
    ],
    ['admits a write from the dashboard', BOTH, 'POST', { ...signedIn, ...fromUs }, 'session'],
    ['admits a session without a key', PASSWORD_ONLY, 'DELETE', { ...signedIn, ...fromUs }, 'session'],
    ['refuses a session’s write from another site', BOTH, 'POST', { ...signedIn, ...fromElsewhere }, 403],
    ['refuses a session’s write that names no origin', BOTH, 'POST', signedIn, 403],
    ['refuses a forged session', BOTH, 'GET', forged, 401],
    ['refuses a session if no password is set', KEY_ONLY, 'GET', signedIn, 401],
    ['opens the dashboard’s reads in development', OPEN, 'GET', {}, 'open', true],
    ['opens them even if a key is set', OPEN_WITH_KEY, 'GET', {}, 'open', true],
    ['opens no other reads', OPEN_WITH_KEY, 'GET', {}, 401],
    ['opens no writes', OPEN_WITH_KEY, 'POST', fromUs, 401, true],
    ['opens nothing if a password is set', OPEN_WITH_PASSWORD, 'GET', {}, 401, true],
    ['answers 503 if nothing is set', NOTHING, 'GET', key, 503],
    ['answers 503 to a write if no key is set', OPEN, 'POST', key, 503, true],
    ['treats empty settings as unset', EMPTY, 'GET', bearer(''), 503],
  ])('%s', (_label, env, method, headers, expected, dashboard = false) => {
    const request = new Request('http://app.test/', { method, headers: { host: 'app.test', ...headers } });
    const access = apiAccess(request, env, NOW_MS, { dashboard });
    expect(access.allowed ? access.by : access.status).toBe(expected);
  });

  it.each([
    [false, /API_KEY/],
    [true, /DASHBOARD_PASSWORD.*API_KEY/],
  ])('names the variables to set; for the dashboard: %s', (dashboard, message) => {
    const request = new Request('http://app.test/');
    const access = apiAccess(request, NOTHING, NOW_MS, { dashboard });
    expect(access).toMatchObject({ message: expect.stringMatching(message) });
  });
});

it.each([
  ['shows the dashboard to a signed-in user', BOTH, signSession('pw', NOW_MS), 'session'],
  ['requires sign-in without a session', BOTH, null, 'sign in'],
  ['requires sign-in after the password was changed', BOTH, signSession('old', NOW_MS), 'sign in'],
  ['is open in development without a password', OPEN, null, 'open'],
  ['stays closed in production without a password', KEY_ONLY, signSession('pw', NOW_MS), 'not configured'],
] as const)('dashboardAccess %s', (_label, env, cookie, expected) =>
  expect(dashboardAccess(env, cookie, NOW_MS)).toBe(expected),
);

describe('requestOrigin', () => {
  const host = 'app.test:3000';
  it.each<[string, headers: Record<string, string>, expected: string]>([
    ['prefers Sec-Fetch-Site to Origin', { host, origin: `http://${host}`, ...fromElsewhere }, 'other'],
    ['trusts no other host of the site', { 'sec-fetch-site': 'same-site' }, 'other'],
    ['trusts the same origin', fromUs, 'same'],
    ['compares Origin with the host', { host, origin: `http://${host}` }, 'same'],
    ['compares the port', { host, origin: 'http://app.test:4000' }, 'other'],
    [
      'compares the host before a proxy',
      { host: 'inner', 'x-forwarded-host': host, origin: `https://${host}` },
      'same',
    ],
    ['compares the whole host', { host: 'app.test', origin: 'http://app.test.evil.test' }, 'other'],
    ['refuses an invalid Origin', { host, origin: 'nonsense' }, 'other'],
    ['cannot tell without an Origin', { host }, 'unknown'],
    ['cannot tell by the Origin null', { host, origin: 'null' }, 'unknown'],
  ])('%s', (_label, headers, expected) =>
    expect(requestOrigin(new Request('http://app.test/', { headers }))).toBe(expected),
  );
});
