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

function ask(env: AccessEnv, method: string, headers: Headers, dashboard = false) {
  const request = new Request('http://app.test/api/x', { method, headers: { host: 'app.test', ...headers } });
  const access = apiAccess(request, env, NOW_MS, { dashboard });
  return access.allowed ? access.by : access.status;
}

describe('apiAccess', () => {
  const cases: [promise: string, got: string | number, expected: string | number][] = [
    ['lets the key read', ask(BOTH, 'GET', key), 'api-key'],
    ['lets the key write, from anywhere', ask(BOTH, 'POST', { ...key, ...fromElsewhere }), 'api-key'],
    ['lets the key in without any password set', ask(KEY_ONLY, 'POST', key), 'api-key'],
    ['refuses a wrong key', ask(BOTH, 'GET', wrongKey), 401],
    ['refuses who shows nothing', ask(BOTH, 'GET', {}), 401],
    ['refuses the dashboard’s password sent as a key', ask(BOTH, 'GET', { authorization: 'Bearer pw' }), 401],
    ['lets a session read', ask(BOTH, 'GET', signedIn), 'session'],
    [
      'lets a session read although another site linked here',
      ask(BOTH, 'GET', { ...signedIn, ...fromElsewhere }),
      'session',
    ],
    ['lets a session write from the dashboard', ask(BOTH, 'POST', { ...signedIn, ...fromUs }), 'session'],
    [
      'lets a session in without any key set',
      ask(PASSWORD_ONLY, 'DELETE', { ...signedIn, ...fromUs }),
      'session',
    ],
    [
      'refuses a session’s write from another site',
      ask(BOTH, 'POST', { ...signedIn, ...fromElsewhere }),
      403,
    ],
    ['refuses a session’s write that does not say where from', ask(BOTH, 'POST', signedIn), 403],
    ['refuses a forged session', ask(BOTH, 'GET', forged), 401],
    ['refuses a session once no password is set', ask(KEY_ONLY, 'GET', signedIn), 401],
    ['opens the dashboard’s reads in development', ask(OPEN, 'GET', {}, true), 'open'],
    ['opens the dashboard’s reads in development beside a key', ask(OPEN_WITH_KEY, 'GET', {}, true), 'open'],
    ['opens no other read', ask(OPEN_WITH_KEY, 'GET', {}), 401],
    ['opens no write', ask(OPEN_WITH_KEY, 'POST', fromUs, true), 401],
    ['opens nothing once a password is set', ask({ ...BOTH, dashboardOpen: true }, 'GET', {}, true), 401],
    ['says it is not configured when nothing is set', ask(NOTHING, 'GET', key), 503],
    ['says it is not configured for a write while the dashboard is open', ask(OPEN, 'POST', key, true), 503],
    ['takes empty settings for none', ask(EMPTY, 'GET', { authorization: 'Bearer ' }), 503],
  ];
  it.each(cases)('%s', (_promise, got, expected) => expect(got).toBe(expected));

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
    ['shows the dashboard to who signed in', BOTH, value, 'session'],
    ['asks who did not to sign in', BOTH, null, 'sign in'],
    [
      'asks again when the session was signed with another password',
      BOTH,
      signSession('old', NOW_MS),
      'sign in',
    ],
    ['is open in development without a password', OPEN, null, 'open'],
    ['stays shut in production without a password, whatever the key', KEY_ONLY, value, 'not configured'],
  ] as const)('%s', (_promise, env, cookie, expected) =>
    expect(dashboardAccess(env, cookie, NOW_MS)).toBe(expected),
  );
});

describe('requestOrigin', () => {
  const from = (headers: Headers) => requestOrigin(new Request('http://app.test/', { headers }));

  it('believes Sec-Fetch-Site before Origin', () => {
    expect(from({ host: 'app.test', origin: 'http://app.test', 'sec-fetch-site': 'cross-site' })).toBe(
      'other',
    );
    expect(from({ 'sec-fetch-site': 'same-site' })).toBe('other');
    expect(from({ 'sec-fetch-site': 'same-origin' })).toBe('same');
  });

  it('holds Origin against the host that was asked, port included', () => {
    expect(from({ host: 'app.test:3000', origin: 'http://app.test:3000' })).toBe('same');
    expect(from({ host: 'inner:3000', 'x-forwarded-host': 'app.test', origin: 'https://app.test' })).toBe(
      'same',
    );
    expect(from({ host: 'app.test:3000', origin: 'http://app.test:4000' })).toBe('other');
    expect(from({ host: 'app.test', origin: 'http://app.test.evil.test' })).toBe('other');
    expect(from({ host: 'app.test', origin: 'nonsense' })).toBe('other');
  });

  it('takes no Origin, or a hidden one, for no proof', () => {
    expect(from({ host: 'app.test' })).toBe('unknown');
    expect(from({ host: 'app.test', origin: 'null' })).toBe('unknown');
  });
});
