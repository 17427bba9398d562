import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { POST } from '../../../app/api/session/route.ts';
import { clientAddress } from '../../../lib/http/auth/client-address.ts';
import { countFailedSignIn } from '../../../lib/http/auth/failed-sign-ins.ts';
import { PASSWORD, stubSecrets } from '../../support/api-server.ts';

beforeEach(() => stubSecrets());
afterEach(() => {
  vi.unstubAllEnvs();
});

let visitors = 0;
/** Returns an address without failed sign-ins. */
const newAddress = () => `192.0.2.${++visitors}`;

function signIn(address: string, password: string, headers: Record<string, string> = {}): Promise<Response> {
  return POST(
    new Request('http://app.test/api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-forwarded-for': address, ...headers },
      body: JSON.stringify({ password }),
    }),
  );
}

async function statuses(times: number, ...attempt: Parameters<typeof signIn>): Promise<number[]> {
  const codes: number[] = [];
  for (let n = 0; n < times; n++) codes.push((await signIn(...attempt)).status);
  return codes;
}

describe('the right password', () => {
  it('signs in after any number of wrong ones, from this address or from another', async () => {
    const [guesser, owner] = [newAddress(), newAddress()];
    await statuses(30, guesser, 'wrong');
    const response = await signIn(owner, PASSWORD);
    expect(response.status).toBe(200);
    expect(response.headers.get('set-cookie')).toMatch(/^punctual_session=v1\./);
    expect((await signIn(guesser, PASSWORD)).status).toBe(200);
  });
});

describe('a wrong password', () => {
  it('answers 429 after ten tries in a minute, and only to that address', async () => {
    const [guesser, other] = [newAddress(), newAddress()];
    expect(await statuses(10, guesser, 'wrong')).toEqual(Array(10).fill(401));
    const response = await signIn(guesser, 'wrong');
    expect(response.status).toBe(429);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await signIn(other, 'wrong')).status).toBe(401);
  });

  it('redirects the sign-in page to /login?wait=1 after ten tries', async () => {
    const address = newAddress();
    const form = () =>
      POST(
        new Request('http://app.test/api/session', {
          method: 'POST',
          headers: { 'x-forwarded-for': address },
          body: new URLSearchParams({ password: 'wrong' }),
        }),
      );
    for (let n = 0; n < 10; n++) expect((await form()).headers.get('location')).toBe('/login?wrong=1');
    expect((await form()).headers.get('location')).toBe('/login?wait=1');
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
  const of = (headers: Record<string, string>, onVercel = false) =>
    clientAddress({ headers: new Headers(headers) }, onVercel);

  it('is the one in the platform’s header on Vercel, whatever the client sends', () => {
    const headers = { 'x-forwarded-for': 'made up', 'x-real-ip': 'made up' };
    expect(of({ ...headers, 'x-vercel-forwarded-for': '203.0.113.7' }, true)).toBe('203.0.113.7');
  });

  it('is the one that the nearest proxy added elsewhere, and never comes from Vercel’s header', () => {
    const headers = { 'x-forwarded-for': 'made up, 203.0.113.7', 'x-vercel-forwarded-for': 'made up' };
    expect(of(headers)).toBe('203.0.113.7');
    expect(of({})).toBe('unknown');
  });
});
