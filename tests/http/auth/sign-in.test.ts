import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { endpoints as sessionApi } from '../../../lib/api/session.ts';
import { clientAddress } from '../../../lib/http/auth/client-address.ts';
import { countFailedSignIn } from '../../../lib/http/auth/failed-sign-ins.ts';
import { verifySession } from '../../../lib/http/auth/session.ts';
import { PASSWORD, stubSecrets, VIEWER_PASSWORD } from '../../support/api-server.ts';

const { 'POST /session': POST } = sessionApi;

beforeEach(() => stubSecrets());
afterEach(() => {
  vi.unstubAllEnvs();
});

let visitors = 0;
/** Returns an address without failed sign-ins. */
const newAddress = () => `192.0.2.${++visitors}`;

const post = (address: string, body: BodyInit, headers: Record<string, string> = {}) =>
  POST(
    new Request('http://app.test/api/session', {
      method: 'POST',
      headers: { 'x-forwarded-for': address, ...headers },
      body,
    }),
  );
const signIn = (address: string, password: string, name?: unknown) =>
  post(address, JSON.stringify({ password, name }), { 'content-type': 'application/json' });
/** Signs in with the login page's form. Returns the page that it leads to. */
const submit = async (address: string, password: string, name = '') =>
  (await post(address, new URLSearchParams({ name, password }))).headers.get('location');

describe('the right password', () => {
  it('signs in after any number of wrong ones, from this address or from another', async () => {
    const [guesser, owner] = [newAddress(), newAddress()];
    for (let n = 0; n < 30; n++) await signIn(guesser, 'wrong');
    const response = await signIn(owner, PASSWORD);
    expect(response.status).toBe(200);
    expect(response.headers.get('set-cookie')).toMatch(/^punctual_session=v2\./);
    expect((await signIn(guesser, PASSWORD)).status).toBe(200);
    expect(await submit(guesser, PASSWORD)).toBe('/');
  });
});

describe('a session', () => {
  const sessionOf = async (password: string, name?: string) => {
    const response = await signIn(newAddress(), password, name);
    const value = /^punctual_session=([^;]+)/.exec(response.headers.get('set-cookie') ?? '')?.[1] ?? '';
    const passwords = { operator: PASSWORD, viewer: VIEWER_PASSWORD };
    expect(await response.json()).toMatchObject({ signed_in: true });
    return verifySession(passwords, value, Date.now());
  };

  it('has the name that was given, and the role of the password', async () => {
    expect(await sessionOf(PASSWORD, '  Mira Žižek ')).toEqual({ name: 'Mira Žižek', role: 'operator' });
    expect(await sessionOf(VIEWER_PASSWORD, 'Ola')).toEqual({ name: 'Ola', role: 'viewer' });
  });

  it('without a name is that of a dashboard user', async () => {
    const session = { name: 'a dashboard user', role: 'operator' };
    expect(await sessionOf(PASSWORD)).toEqual(session);
    expect(await sessionOf(PASSWORD, ' ')).toEqual(session);
  });

  it('is that of a viewer if both roles have one password', async () => {
    vi.stubEnv('DASHBOARD_VIEWER_PASSWORD', PASSWORD);
    expect(await (await signIn(newAddress(), PASSWORD)).json()).toMatchObject({ role: 'viewer' });
  });

  it('is refused a name that is too long or cannot be stored', async () => {
    for (const name of ['x'.repeat(61), 'a\0', 7]) {
      expect((await signIn(newAddress(), PASSWORD, name)).status).toBe(400);
    }
    expect(await submit(newAddress(), PASSWORD, 'x'.repeat(61))).toBe('/login?name=1');
    expect(await submit(newAddress(), PASSWORD, 'Mira')).toBe('/');
  });

  it('needs a password: an empty one never matches one that is not set', async () => {
    vi.stubEnv('DASHBOARD_VIEWER_PASSWORD', '');
    expect((await signIn(newAddress(), '')).status).toBe(401);
  });
});

describe('a wrong password', () => {
  it('answers 429 after ten tries in a minute, and only to that address', async () => {
    const [guesser, other] = [newAddress(), newAddress()];
    for (let n = 0; n < 10; n++) expect((await signIn(guesser, 'wrong')).status).toBe(401);
    const response = await signIn(guesser, 'wrong');
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await signIn(other, 'wrong')).status).toBe(401);
  });

  it('redirects the sign-in page to /login?wait=1 after ten tries', async () => {
    const address = newAddress();
    for (let n = 0; n < 10; n++) expect(await submit(address, 'wrong')).toBe('/login?wrong=1');
    expect(await submit(address, 'wrong')).toBe('/login?wait=1');
  });

  it('may be tried ten times again a minute later', () => {
    const address = newAddress();
    const tries = (nowMs: number) => Array.from({ length: 11 }, () => countFailedSignIn(address, nowMs));
    expect(tries(1_000)).toEqual([...Array(10).fill(0), 60]);
    expect(countFailedSignIn(address, 60_999)).toBe(0.001);
    expect(tries(61_000)).toEqual([...Array(10).fill(0), 60]);
  });

  it('does not fill the memory: at most 10,000 addresses are kept', () => {
    for (let n = 0; n < 11; n++) countFailedSignIn('first', 1_000);
    for (let n = 0; n < 9_999; n++) countFailedSignIn(`of many ${n}`, 1_000);
    expect(countFailedSignIn('first', 1_000)).toBe(60);
    for (let n = 0; n < 10_000; n++) countFailedSignIn(`of more ${n}`, 1_000);
    expect(countFailedSignIn('first', 1_000)).toBe(0);
  });

  it('of 5,000 characters answers 400', async () => {
    expect((await signIn(newAddress(), 'x'.repeat(5_000))).status).toBe(400);
  });
});

describe('the address of a client', () => {
  const proxied = { 'x-forwarded-for': 'made up, 203.0.113.7' };
  const platform = { 'x-vercel-forwarded-for': '203.0.113.8' };
  it.each<[label: string, headers: Record<string, string>, onVercel: boolean, address: string]>([
    ['the platform’s on Vercel, whatever the client sends', { ...proxied, ...platform }, true, '203.0.113.8'],
    ['the nearest proxy’s elsewhere', { ...proxied, ...platform }, false, '203.0.113.7'],
    ['unknown without a proxy', {}, false, 'unknown'],
  ])('is %s', (_label, headers, onVercel, address) => {
    expect(clientAddress({ headers: new Headers(headers) }, onVercel)).toBe(address);
  });
});
