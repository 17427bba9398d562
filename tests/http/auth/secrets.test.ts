import { describe, expect, it } from 'vitest';
import { bearerToken, secretsEqual } from '../../../lib/http/auth/secrets.ts';

describe('secretsEqual', () => {
  it('accepts the secret itself and nothing else', () => {
    expect(secretsEqual('s3cret', 's3cret')).toBe(true);
    expect(secretsEqual('pässwörd-🔑', 'pässwörd-🔑')).toBe(true);
    for (const wrong of ['', 's3cre', 's3crets', 'S3cret', ' s3cret']) {
      expect(secretsEqual(wrong, 's3cret')).toBe(false);
    }
  });

  it('compares strings of different lengths without throwing', () => {
    expect(secretsEqual('x'.repeat(100_000), 'x')).toBe(false);
  });
});

describe('bearerToken', () => {
  const token = (authorization?: string) =>
    bearerToken(
      new Request('http://app.test/', authorization === undefined ? {} : { headers: { authorization } }),
    );

  it('reads the token with the scheme in any case', () => {
    expect(token('Bearer abc.DEF-1')).toBe('abc.DEF-1');
    expect(token('bearer abc')).toBe('abc');
    expect(token('BEARER   abc')).toBe('abc');
  });

  it('returns null if the header is missing, empty, malformed or of another scheme', () => {
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer ',
      'Basic abc',
      'Bearerabc',
      'abc',
      'Bearer a b',
    ]) {
      expect(token(header)).toBeNull();
    }
  });
});
