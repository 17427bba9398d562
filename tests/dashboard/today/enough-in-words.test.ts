import { expect, it } from 'vitest';
import { enoughInWords, hoursInWords } from '../../../app/(dashboard)/today/enough-in-words.ts';

it('says whether what may be sent is enough, as far as it was counted', () => {
  expect(enoughInWords({ short: 0, more: false })).toBe('enough');
  expect(enoughInWords({ short: 1_200, more: false })).toBe('short by 1,200');
  expect(enoughInWords({ short: 7, more: true })).toBe('short by at least 7');
  expect(enoughInWords({ short: 0, more: true })).toBe('enough for those that were counted');
  expect(hoursInWords([3, 0, 10_000])).toBe('3 · 0 · 9,999+');
});
