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
/** An address that has not tried yet. */
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
  const answers: number[] = [];
  for (let n = 0; n < times; n++) answers.push((await signIn(...attempt)).status);
  return answers;
}

describe('whoever knows the password', () => {
  it('comes in, however many wrong ones came before, from there or from elsewhere', async () => {
    const [guesser, owner] = [newAddress(), newAddress()];
    await statuses(30, guesser, 'wrong');
    const answer = await signIn(owner, PASSWORD);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('set-cookie')).toMatch(/^punctual_session=v1\./);
    expect((await signIn(guesser, PASSWORD)).status).toBe(200);
  });
});

describe('whoever does not', () => {
  it('is told to wait after ten tries in a minute, and others are not', async () => {
    const [guesser, other] = [newAddress(), newAddress()];
    expect(await statuses(10, guesser, 'wrong')).toEqual(Array(10).fill(401));
    const answer = await signIn(guesser, 'wrong');
    expect(answer.status).toBe(429);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await signIn(other, 'wrong')).status).toBe(401);
  });

  it('is told so on the page too', async () => {
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

  it('may try again a minute later, ten times', () => {
    const address = newAddress();
    const tries = (nowMs: number) => Array.from({ length: 11 }, () => countFailedSignIn(address, nowMs));
    expect(tries(1_000)).toEqual([...Array(10).fill(0), 60]);
    expect(countFailedSignIn(address, 60_999)).toBe(0.001);
    expect(tries(61_000)).toEqual([...Array(10).fill(0), 60]);
  });

  it('cannot fill the memory with addresses', () => {
    for (let n = 0; n < 11; n++) countFailedSignIn('first', 1_000);
    for (let n = 0; n < 9_999; n++) countFailedSignIn(`of many ${n}`, 1_000);
    expect(countFailedSignIn('first', 1_000)).toBe(60);
    for (let n = 0; n < 10_000; n++) countFailedSignIn(`of more ${n}`, 1_000);
    expect(countFailedSignIn('first', 1_000)).toBe(0);
  });

  it('cannot send a body without end', async () => {
    expect((await signIn(newAddress(), 'x'.repeat(5_000))).status).toBe(400);
  });
});

describe('the address of a caller', () => {
  const of = (headers: Record<string, string>, onVercel = false) =>
    clientAddress({ headers: new Headers(headers) }, onVercel);

  it('is the platform’s word on Vercel, whatever the caller sends', () => {
    const headers = { 'x-forwarded-for': 'made up', 'x-real-ip': 'made up' };
    expect(of({ ...headers, 'x-vercel-forwarded-for': '203.0.113.7' }, true)).toBe('203.0.113.7');
  });

  it('is what the nearest proxy wrote elsewhere, and never a header of Vercel’s', () => {
    const headers = { 'x-forwarded-for': 'made up, 203.0.113.7', 'x-vercel-forwarded-for': 'made up' };
    expect(of(headers)).toBe('203.0.113.7');
    expect(of({})).toBe('unknown');
  });
});
