import { expect, it } from 'vitest';
import { bearerToken, secretsEqual } from '../../../lib/http/auth/secrets.ts';

it('secretsEqual accepts the secret itself and nothing else, whatever its length', () => {
  for (const secret of ['s3cret', 'pässwörd-🔑']) expect(secretsEqual(secret, secret)).toBe(true);
  for (const wrong of ['', 's3cre', 's3crets', 'S3cret', ' s3cret', 'x'.repeat(100_000)])
    expect(secretsEqual(wrong, 's3cret'), wrong.slice(0, 9)).toBe(false);
});

it.each([
  ['Bearer abc.DEF-1', 'abc.DEF-1'],
  ['bearer abc', 'abc'],
  ['BEARER   abc', 'abc'],
  ...[undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'Bearerabc', 'abc', 'Bearer a b'].map(
    (header): [string | undefined, null] => [header, null],
  ),
])('bearerToken reads from the header %j the token %j', (authorization, token) => {
  const headers = new Headers(authorization === undefined ? {} : { authorization });
  expect(bearerToken(new Request('http://app.test/', { headers }))).toBe(token);
});
