import { expect, it } from 'vitest';
import { chartRange } from '../../../../../app/(dashboard)/queues/[queue]/rows/chart-range.ts';

const nowMs = Date.UTC(2026, 11, 1, 8, 20);

it.each([
  [{}, '2026-11-30T09:00', '2026-12-01T09:00'],
  [{ finished_to: '2026-11-20T00:00:00Z' }, '2026-11-19T00:00', '2026-11-20T00:00'],
  [{ finished_from: '2026-11-20T00:00:00Z' }, '2026-11-20T00:00', '2026-12-01T09:00'],
  [
    { finished_from: '2026-11-20T02:00:00+02:00', finished_to: '2026-11-20T03:00:00Z' },
    '2026-11-20T00:00',
    '2026-11-20T03:00',
  ],
  [{ finished_from: 'yesterday' }, '2026-11-30T09:00', '2026-12-01T09:00'],
])('of %j is from %s to %s', (filter, from, to) => {
  expect(chartRange(filter, nowMs)).toEqual({ from: `${from}:00.000Z`, to: `${to}:00.000Z` });
});
