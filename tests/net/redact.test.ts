import { describe, expect, it } from 'vitest';
import { redact } from '../../lib/net/redact.ts';

describe('redact removes', () => {
  it.each([
    ['a secret of the call', 'the key k-123456 is wrong', 'the key *** is wrong'],
    ['a bearer token', 'got Bearer abc.def-123', 'got Bearer ***'],
    ['a JSON web token', 'token was eyJhbGciOi.eyJzdWIi.sig', 'token was ***'],
    ['an Authorization header', 'Authorization: Basic dXNlcjpwYXNz', 'Authorization: ***'],
    ['a token in a query', 'GET /x?access_token=EAAB1&page=2', 'GET /x?access_token=***&page=2'],
    ['a token in JSON', '{"api_key": "abc", "n": 1}', '{"api_key": "***", "n": 1}'],
    ['a token in escaped JSON', String.raw`{\"password\":\"abc\"}`, String.raw`{\"password\":\"***\"}`],
    ['a password of several words', '{"password": "one two", "n": 1}', '{"password": "***", "n": 1}'],
    ['a secret of the call in an address', 'GET /x?k=s%2F1%2B2%3D%3D', 'GET /x?k=***'],
    [
      'a secret of the call in JSON that escapes slashes',
      String.raw`the key s\/1+2== is wrong`,
      'the key *** is wrong',
    ],
  ])('%s', (_what, text, expected) => {
    expect(redact(text, ['k-123456', 'json', 's/1+2=='])).toBe(expected);
  });

  const text = 'Dear Ada,\nyour order “17” is late, sorry. – Bob';
  it.each([
    ['as it is', text],
    ['as JSON', JSON.stringify(text)],
    [
      'as JSON in ASCII',
      JSON.stringify(text).replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
    ],
    ['cut off', `the text "${text.slice(0, 30)}…" is too long`],
    ['with one of its lines', 'line 2: your order “17” is late, sorry. – Bob'],
  ])('a private text, quoted %s', (_how, quoted) => {
    const clean = redact(`refused: ${quoted}`, [], [text]);
    expect(clean).toMatch(/^refused: /);
    for (const word of ['order', 'late', 'sorry', 'Bob']) expect(clean).not.toContain(word);
  });

  it('a short private text only where it is quoted alone', () => {
    expect(redact('{"body":"Hi","said":"Hi there is no High"}', [], ['Hi'])).toBe(
      '{"body":"***","said":"Hi there is no High"}',
    );
    expect(redact('nothing', [], ['', ' \n '])).toBe('nothing');
  });
});
