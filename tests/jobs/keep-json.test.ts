import { describe, expect, it } from 'vitest';
import { keepJson } from '../../lib/jobs/keep-json.ts';

const circular: { self?: unknown } = {};
circular.self = circular;

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let n = 0; n < levels; n++) value = n % 2 ? [value] : { value };
  return value;
}

describe('what is kept as JSON', () => {
  it.each<[what: string, value: unknown, kept: unknown]>([
    ['null', null, null],
    ['a text with marks of JSON in it', '[[{"\\"}]', '[[{"\\"}]'],
    ['an object', { a: [1, 'b', true, null] }, { a: [1, 'b', true, null] }],
    ['a date, as its text', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['what JSON has no word for, left out', { a: undefined, b: () => 1 }, {}],
    ['64 levels', nested(64), nested(64)],
  ])('%s', (_what, value, kept) => {
    expect(keepJson(value, 65_536)).toEqual({ kept });
  });

  it.each<[what: string, value: unknown, fault: RegExp]>([
    ['a circle', circular, /^is not JSON: .*circular/],
    ['a bigint', 1n, /^is not JSON: .*BigInt/],
    ['a function', () => 1, /^is not JSON: its type is function$/],
    ['nothing', undefined, /^is not JSON: its type is undefined$/],
    ['what throws', { toJSON: () => Promise.reject.call(null) }, /^is not JSON: /],
    [
      'what throws nothing',
      {
        toJSON() {
          throw null;
        },
      },
      /^is not JSON: it cannot be written$/,
    ],
    ['65 levels', nested(65), /^is nested more than 64 levels deep$/],
    ['more levels than anything bears', nested(100_000), /^is /],
    ['5 MB', 'x'.repeat(5 * 1024 * 1024), /^is 5242882 bytes of JSON; the limit is 65536 bytes$/],
    ['a text that is short only in characters', 'ü'.repeat(40_000), /^is 80002 bytes of JSON/],
  ])('not %s', (_what, value, fault) => {
    expect(keepJson(value, 65_536)).toEqual({ fault: expect.stringMatching(fault) });
  });
});
