import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { storable } from '../../lib/store/storable.ts';
import { assertProperty } from '../support/property.ts';

/** Any sequence of UTF-16 units, with NUL and lone surrogates far more often than by chance. */
const anyText = fc
  .array(
    fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(0, 0xd83d, 0xdc4b, 0xd800, 0xdfff, 0x61)),
    { maxLength: 12 },
  )
  .map((units) => String.fromCharCode(...units));

const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    anyText,
    fc.oneof(fc.boolean(), fc.double(), fc.integer(), fc.constant(null), fc.constant(undefined)),
    fc.date(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 4, noNullPrototype: false }),
  ),
}));

/** Returns every string in the value's JSON, keys included. */
function stringsOf(value: unknown): string[] {
  const strings: string[] = [];
  JSON.stringify(value, (key, inner) => {
    strings.push(key);
    if (typeof inner === 'string') strings.push(inner);
    return inner;
  });
  return strings;
}

const isClean = (text: string) => text.isWellFormed() && !text.includes('\0');

describe('a value made storable', () => {
  it('contains no NUL and no lone surrogate, and stays the same when it is made storable again', async () => {
    await assertProperty(
      fc.property(anyValue, (value) => {
        const once = storable(value);
        expect(stringsOf(once).filter((text) => !isClean(text))).toEqual([]);
        expect(storable(once)).toEqual(once);
      }),
      { numRuns: 1_000 },
    );
  });

  it('equals the original if that has no NUL and no lone surrogate', async () => {
    await assertProperty(
      fc.property(anyValue, (value) => {
        fc.pre(stringsOf(value).every(isClean));
        expect(storable(value)).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('is a copy, and the original stays unchanged', () => {
    const given = { text: 'a\0b', list: ['\ud83d'] };
    storable(given);
    expect(given).toEqual({ text: 'a\0b', list: ['\ud83d'] });
  });

  it.each([
    ['a\0b', 'ab'],
    ['\0', ''],
    ['a\ud83d', 'a\ufffd'],
    ['\udc4b\ud83d', '\ufffd\ufffd'],
    ['👋', '👋'],
    ['\u0001\u007f\u2028\ufffe\ufffd', '\u0001\u007f\u2028\ufffe\ufffd'],
  ])('has for the text %j the text %j', (text, expected) => {
    expect(storable({ deep: [{ [text]: text }] })).toEqual({ deep: [{ [expected]: expected }] });
  });

  it('may be a megabyte long', () => {
    expect(storable('x\0\ud83d'.repeat(350_000))).toBe('x\ufffd'.repeat(350_000));
  });

  it('is the original itself if that is neither text nor plain data', () => {
    for (const value of [null, undefined, 0, -0, Number.NaN, 1n, true, new Date()])
      expect(storable(value)).toBe(value);
  });
});
