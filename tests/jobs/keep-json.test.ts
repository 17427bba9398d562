import { expect, it } from 'vitest';
import { keepJson } from '../../lib/jobs/keep-json.ts';

const circular: { self?: unknown } = {};
circular.self = circular;

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let n = 0; n < levels; n++) value = n % 2 ? [value] : { value };
  return value;
}

/** Returns a value that throws `thrown` when it is written as JSON. */
const throwing = (thrown: unknown) => ({
  toJSON() {
    throw thrown;
  },
});
const unreadable = Object.defineProperty(new Error(), 'message', { get: () => throwing(null).toJSON() });

it.each<[name: string, value: unknown, kept: unknown]>([
  ['null', null, null],
  ['a string with JSON syntax in it', '[[{"\\"}]', '[[{"\\"}]'],
  ['a date, as a string', new Date(0), '1970-01-01T00:00:00.000Z'],
  [
    'an object without its undefined and its function',
    { a: [1, null], b: undefined, c: () => 1 },
    { a: [1, null] },
  ],
  ['64 levels of nesting', nested(64), nested(64)],
])('keepJson keeps %s', (_name, value, kept) => {
  expect(keepJson(value, 65_536)).toEqual({ kept, json: JSON.stringify(value) });
});

it.each<[name: string, value: unknown, fault: RegExp]>([
  ['a circular object', circular, /^is not JSON: .*circular/],
  ['a bigint', 1n, /^is not JSON: .*BigInt/],
  ['a function', () => 1, /^is not JSON: its type is function$/],
  ['undefined', undefined, /^is not JSON: its type is undefined$/],
  ['an object whose toJSON throws', throwing(new Error('no')), /^is not JSON: no$/],
  ['an object whose toJSON throws null', throwing(null), /^is not JSON: it cannot be written$/],
  ['an object whose error throws', throwing(unreadable), /^is not JSON: it cannot be written$/],
  ['65 levels of nesting', nested(65), /^is nested more than 64 levels deep$/],
  ['100,000 levels of nesting', nested(100_000), /^is /],
  ['5 MB', 'x'.repeat(5 * 1024 * 1024), /^is 5242882 bytes of JSON; the limit is 65536 bytes$/],
  ['a string that is too long only in bytes', 'ü'.repeat(40_000), /^is 80002 bytes of JSON/],
])('keepJson refuses %s', (_name, value, fault) => {
  expect(keepJson(value, 65_536)).toEqual({ fault: expect.stringMatching(fault) });
});
