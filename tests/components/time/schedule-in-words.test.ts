import { expect, it } from 'vitest';
import { scheduleInWords } from '../../../components/time/schedule-in-words.ts';

it.each([
  ['* * * * *', 'every minute'],
  ['*/1 * * * *', 'every minute'],
  ['*/5 * * * *', 'every 5 min'],
  ['5 * * * *', 'every hour at :05'],
  ['0 */6 * * *', 'every 6 h'],
  ['17 3 * * *', 'daily at 03:17 UTC'],
  ['0 * * * * *', 'every minute'],
  ['*/10 * * * * *', 'every 10 s'],
  ['* * * * * *', 'every second'],
])('%s reads "%s"', (schedule, words) => {
  expect(scheduleInWords(schedule)).toBe(words);
});

it.each([
  // Not every 7 min: minute 56 is followed by minute 0, after 4 min.
  '*/7 * * * *',
  '0 */5 * * *',
  '30 */6 * * *',
  '30 * * * * *',
  '*/10 5 * * * *',
  '*/10 */5 * * * *',
  '0,30 * * * *',
  '0 9 * * 1-5',
  '0 0 1 * *',
  '*/0 * * * *',
])('%s stays as it is', (schedule) => {
  expect(scheduleInWords(schedule)).toBe(schedule);
});
