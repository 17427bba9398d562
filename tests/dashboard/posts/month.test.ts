import { expect, it } from 'vitest';
import { monthOf, weeksOf } from '../../../app/(dashboard)/posts/month.ts';
import { nowMs } from '../queue-stats.ts';

const post = (id: string, at: string) => ({ id, status: 'scheduled', at, text: 'Hello', account: null });

it('a month has its bounds and its neighbours, also over a new year', () => {
  expect(monthOf('2026-12', nowMs)).toEqual({
    ...{ name: '2026-12', title: 'December 2026', before: '2026-11', after: '2027-01' },
    ...{ from: '2026-12-01T00:00:00.000Z', to: '2027-01-01T00:00:00.000Z' },
  });
});

it('an address that names no month shows the present one', () => {
  for (const given of [undefined, '', '2026-13', 'now']) expect(monthOf(given, nowMs).name).toBe('2026-03');
});

it('a month is whole weeks from Monday, each post on its day of UTC, the earliest first', () => {
  const weeks = weeksOf(monthOf('2026-03', nowMs), [
    post('late', '2026-03-31T23:59:00Z'),
    post('second', '2026-03-02T10:00:00Z'),
    post('first', '2026-03-02T11:00:00+02:00'),
  ]);
  // March 2026 begins on a Sunday and ends on a Tuesday.
  expect(weeks).toHaveLength(6);
  expect(weeks[0]?.map(({ isOutside }) => isOutside)).toEqual([true, true, true, true, true, true, false]);
  const found = weeks.flat().filter(({ posts }) => posts.length > 0);
  expect(found.map(({ date, posts }) => [date, ...posts.map(({ id }) => id)])).toEqual([
    ['2026-03-02', 'first', 'second'],
    ['2026-03-31', 'late'],
  ]);
});
