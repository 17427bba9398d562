import { describe, expect, it } from 'vitest';
import {
  type AccessEnv,
  type Actor,
  apiAccess,
  dashboardVisitor,
  requestOrigin,
} from '../../../lib/http/auth/access.ts';
import { signSession } from '../../../lib/http/auth/session.ts';

const NOW_MS = Date.UTC(2030, 0, 15, 12);

const keyOf = (key: string, name = 'the API', role: Actor['role'] = 'operator') => ({ key, name, role });
const API_KEYS = [
  keyOf('look', 'a viewer of the API', 'viewer'),
  keyOf('key'),
  keyOf('key-of-ops', 'ops'),
  keyOf('look', 'careless'),
];
const passwords = { operator: 'pw', viewer: 'view' };
const BOTH: AccessEnv = { apiKeys: API_KEYS, passwords, dashboardOpen: false };
const KEY_ONLY: AccessEnv = { apiKeys: API_KEYS, passwords: {}, dashboardOpen: false };
const PASSWORD_ONLY: AccessEnv = { apiKeys: [], passwords, dashboardOpen: false };
const NOTHING: AccessEnv = { apiKeys: [], passwords: {}, dashboardOpen: false };
const OPEN: AccessEnv = { apiKeys: [], passwords: {}, dashboardOpen: true };
const DEMO: AccessEnv = { ...OPEN, isDemo: true };
const OPEN_WITH_KEY: AccessEnv = { ...OPEN, apiKeys: API_KEYS };
const OPEN_WITH_PASSWORD: AccessEnv = { ...BOTH, dashboardOpen: true };
const NAMED: AccessEnv = { ...BOTH, identityHeader: 'X-Forwarded-User' };

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const key = bearer('key');
const session = (password: string, role: Actor['role'] = 'operator') => ({
  cookie: `punctual_session=${signSession({ name: 'Mira', role }, password, NOW_MS)}`,
});
const signedIn = session('pw');
const viewing = session('view', 'viewer');
const forged = session('guess');
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
    ['opens the acts of the demo’s pages', DEMO, 'POST', fromUs, 'open'],
    ['opens them to no other site', DEMO, 'POST', { origin: 'http://evil.test' }, 503],
    ['opens nothing if a password is set', OPEN_WITH_PASSWORD, 'GET', {}, 401, true],
    ['answers 503 if nothing is set', NOTHING, 'GET', key, 503],
    ['answers 503 to a write if no key is set', OPEN, 'POST', key, 503, true],
    ['admits a viewer’s read with a key', BOTH, 'GET', bearer('look'), 'api-key'],
    ['refuses a viewer’s write with a key', BOTH, 'POST', bearer('look'), 403],
    ['admits a viewer’s read with a session', BOTH, 'HEAD', viewing, 'session'],
    ['refuses a viewer’s write with a session', BOTH, 'DELETE', { ...viewing, ...fromUs }, 403],
    ['refuses a viewer’s session that names another role', BOTH, 'GET', session('view'), 401],
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

describe('the caller', () => {
  const user = (name: string) => ({ 'x-forwarded-user': name });
  it.each<[string, AccessEnv, Record<string, string>, Actor]>([
    ['of a key has its name', BOTH, bearer('key-of-ops'), { name: 'ops', role: 'operator' }],
    ['of API_KEY is the API', BOTH, key, { name: 'the API', role: 'operator' }],
    [
      'of a key for two roles may only read',
      BOTH,
      bearer('look'),
      { name: 'a viewer of the API', role: 'viewer' },
    ],
    ['of a session has the name that it was given', BOTH, signedIn, { name: 'Mira', role: 'operator' }],
    [
      'is named by no header by default',
      BOTH,
      { ...signedIn, ...user('x') },
      { name: 'Mira', role: 'operator' },
    ],
    [
      'is named by the proxy',
      NAMED,
      { ...viewing, ...user(' ola@x.test') },
      { name: 'ola@x.test', role: 'viewer' },
    ],
    [
      'is named in UTF-8, and by 60 characters at most',
      NAMED,
      { ...signedIn, ...user(`Zo\u00c3\u00ab${'x'.repeat(99)}`) },
      { name: `Zoë${'x'.repeat(57)}`, role: 'operator' },
    ],
    ['has the session’s name without the header', NAMED, signedIn, { name: 'Mira', role: 'operator' }],
    [
      'of a key is never named by the proxy',
      NAMED,
      { ...key, ...user('x') },
      { name: 'the API', role: 'operator' },
    ],
  ])('%s', (_label, env, headers, actor) => {
    const request = new Request('http://app.test/', { headers });
    expect(apiAccess(request, env, NOW_MS)).toMatchObject({ allowed: true, actor });
  });

  it('is not authorised by the proxy’s header alone', () => {
    const request = new Request('http://app.test/', { headers: user('Mira') });
    expect(apiAccess(request, NAMED, NOW_MS)).toMatchObject({ allowed: false, status: 401 });
  });
});

const nobody = { name: null, role: null };
it.each([
  [
    'shows the dashboard to a signed-in user',
    BOTH,
    signedIn,
    { access: 'session', name: 'Mira', role: 'operator' },
  ],
  ['shows it to a viewer', BOTH, viewing, { access: 'session', name: 'Mira', role: 'viewer' }],
  ['requires sign-in without a session', BOTH, {}, { access: 'sign in', ...nobody }],
  ['requires sign-in after the password was changed', BOTH, session('old'), { access: 'sign in', ...nobody }],
  ['is open to read in development', OPEN, {}, { access: 'open', name: 'a dashboard user', role: 'viewer' }],
  [
    'stays closed in production without a password',
    KEY_ONLY,
    signedIn,
    { access: 'not configured', ...nobody },
  ],
])('dashboardVisitor %s', (_label, env, headers: Record<string, string>, expected) =>
  expect(dashboardVisitor({ headers: new Headers(headers) }, env, NOW_MS)).toEqual(expected),
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
