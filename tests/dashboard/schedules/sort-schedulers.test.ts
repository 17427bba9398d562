import { expect, it } from 'vitest';
import { sortSchedulers } from '../../../app/(dashboard)/schedules/sort-schedulers.ts';
import type { ScheduleCoverage } from '../../../lib/cron/slots/schedule-coverage.ts';

const ofScheduler = { scheduler: 'pg-cron', schedule: '* * * * *', queues: ['dm_queue'], guessed: false };
const times = { since: '2026-03-01T12:00:00.000Z', until: null, lastSlot: '2026-03-02T12:00:00.000Z' };
const calls = { silent: false, exceptions: [] };
const counts = { expected: 1_440, ran: 1_440, late: 0, overlapped: 0, missed: 0, duplicate: 0, offGrid: 0 };
const account = (path: string, changes: Partial<ScheduleCoverage> = {}): ScheduleCoverage => ({
  ...ofScheduler,
  path,
  ...times,
  ...counts,
  ...calls,
  ...changes,
});

it('sortSchedulers puts silent schedulers first, then those with the most missed slots, then the late ones, and replaced ones last', () => {
  const sorted = sortSchedulers([
    account('/replaced', { until: '2026-03-02T11:00:00.000Z', missed: 9 }),
    account('/well'),
    account('/overlapped', { overlapped: 30 }),
    account('/late', { late: 2 }),
    account('/missed', { missed: 1 }),
    account('/silent', { silent: true }),
    account('/more-missed', { missed: 5 }),
  ]);
  const paths = sorted.map(({ path }) => path);
  expect(paths).toEqual(['/silent', '/more-missed', '/missed', '/late', '/well', '/overlapped', '/replaced']);
});
