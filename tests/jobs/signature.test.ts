import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SignatureError, signBody, verifySignature } from '../../lib/jobs/signature.ts';
import { assertProperty, runs } from '../support/property.ts';

const nowMs = Date.parse('2026-03-02T12:00:00Z');
const atSeconds = nowMs / 1_000;
const now = () => nowMs;
const later = (seconds: number) => ({ now: () => nowMs + seconds * 1_000 });
const body = '{"orderId":"42 ü"}';
const secret = 'the secret of this app';

/** Signs without the code under test. */
const mac = (text: string, key = secret) => createHmac('sha256', key).update(text).digest('hex');
const header = `t=${atSeconds},v1=${mac(`${atSeconds}.${body}`)}`;

const kindOf = (verified: Promise<unknown>) =>
  verified.then(
    () => 'verified',
    (error) => (error instanceof SignatureError ? error.kind : error),
  );

describe('the signature of a call', () => {
  it('is the HMAC-SHA256 of the time and the body, by each secret', async () => {
    expect(await signBody(body, [secret], atSeconds)).toBe(header);
    const previous = mac(`${atSeconds}.${body}`, 'old');
    expect(await signBody(body, [secret, 'old'], atSeconds)).toBe(`${header},v1=${previous}`);
  });

  it('is verified in a Request and in a header with a body, and the body is returned', async () => {
    const request = () =>
      new Request('http://a.test/', { method: 'POST', headers: { 'Punctual-Signature': header }, body });
    expect(await verifySignature(request(), secret, { now })).toBe(body);
    expect(await verifySignature({ header, body }, [secret], { now })).toBe(body);
    expect(await verifySignature({ header: [header], body: Buffer.from(body) }, secret, { now })).toBe(body);
    const read = request();
    await read.text();
    expect(await kindOf(verifySignature(read, secret, { now }))).toBe('unusable');
  });

  it('is accepted for 300 s before and after its time, or for as long as the receiver tolerates', async () => {
    const at = (seconds: number, options = {}) =>
      kindOf(verifySignature({ header, body }, secret, { ...later(seconds), ...options }));
    expect(await Promise.all([-301, -300, 0, 300, 301].map((seconds) => at(seconds)))).toEqual([
      'expired',
      'verified',
      'verified',
      'verified',
      'expired',
    ]);
    expect(await at(5, { toleranceSeconds: 4 })).toBe('expired');
    expect(await at(86_400, { toleranceSeconds: 86_400 })).toBe('verified');
    expect(await at(0, { toleranceSeconds: Number.NaN })).toBe('expired');
  });

  it('of an old call is refused under a new time', async () => {
    const renewed = header.replace(`t=${atSeconds}`, `t=${atSeconds + 1_000}`);
    expect(await kindOf(verifySignature({ header: renewed, body }, secret, later(1_000)))).toBe('mismatch');
  });

  it('is accepted by either secret while one is changed, on either side', async () => {
    const both = await signBody(body, ['new', secret], atSeconds);
    for (const secrets of ['new', secret, ['newer', 'new'], [secret, 'older']])
      expect(await verifySignature({ header: both, body }, secrets, { now })).toBe(body);
    expect(await kindOf(verifySignature({ header: both, body }, ['older', 'oldest'], { now }))).toBe(
      'mismatch',
    );
  });

  it.each<[kind: SignatureError['kind'], header: string | undefined, secrets?: string | string[]]>([
    ['missing', undefined],
    ['missing', ''],
    ['malformed', 'nonsense'],
    ['malformed', `t=${atSeconds}`],
    ['malformed', `v1=${mac(`${atSeconds}.${body}`)}`],
    ['malformed', `${header},t=${atSeconds}`],
    ['malformed', header.replace('t=', 't=-')],
    ['malformed', header.replace('t=', 't=0x')],
    ['malformed', header.slice(0, -1)],
    ['malformed', `${header}${`,v1=${'0'.repeat(64)}`.repeat(4)}`],
    ['mismatch', `t=${atSeconds},v1=${'0'.repeat(64)}`],
    ['mismatch', `t=${atSeconds},v1=${mac(body)}`],
    ['mismatch', header, 'another secret'],
    ['mismatch', header, ['another', 'and another']],
    ['unusable', header, ''],
    ['unusable', header, []],
  ])('is %s: %j', async (kind, given, secrets = secret) => {
    const error = await verifySignature({ header: given, body }, secrets, { now }).catch((thrown) => thrown);
    expect(error).toMatchObject({ name: 'SignatureError', kind });
    expect(error.message).not.toContain(secret);
  });

  it('is accepted for any body and secret, and for no other body', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 });
    const property = fc.asyncProperty(text, text, fc.string({ minLength: 1 }), async (one, other, key) => {
      const signed = await signBody(one, [key], atSeconds);
      expect(await verifySignature({ header: signed, body: one }, key, { now })).toBe(one);
      const isSame = one === other;
      expect(
        (await kindOf(verifySignature({ header: signed, body: other }, key, { now }))) === 'verified',
      ).toBe(isSame);
      expect(await kindOf(verifySignature({ header: signed, body: one }, `${key}x`, { now }))).toBe(
        'mismatch',
      );
    });
    await assertProperty(property, { numRuns: runs({ quick: 50, all: 500 }) });
  });
});
