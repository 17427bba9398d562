import { expect, it } from 'vitest';
import { settingsInWords } from '../../../../app/(dashboard)/queues/[queue]/settings-in-words.ts';

const settings = { batch_limit: 30, concurrency: 5, budget_seconds: null, adaptive: false };

it.each([
  [settings, 'A tick runs up to 30 rows, 5 at once.'],
  [{ ...settings, batch_limit: null }, 'A tick runs as many rows as it has time for, 5 at once.'],
  [{ ...settings, budget_seconds: 40 }, 'A tick runs up to 30 rows, 5 at once, within 40 s.'],
  [
    { ...settings, adaptive: true },
    'A tick adapts to the backlog: how many rows it runs, and how many at once.',
  ],
])('settingsInWords describes %j in a sentence', (input, words) => {
  expect(settingsInWords(input)).toBe(words);
});
