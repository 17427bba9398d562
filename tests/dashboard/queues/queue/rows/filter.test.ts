import { expect, it } from 'vitest';
import { forDryRun, readRequest } from '../../../../../app/(dashboard)/queues/[queue]/act/request.ts';
import {
  activeParts,
  countWords,
  filterInputOf,
  readFilter,
} from '../../../../../app/(dashboard)/queues/[queue]/rows/filter.ts';
import { rowHref, rowsHref } from '../../../../../components/link.ts';

it('a filter is what an address names, without empty fields and unknown parameters', () => {
  const query = {
    status: 'failed',
    text: ' timed out ',
    to: '',
    account: undefined,
    limit: '3',
    cursor: 'x',
  };
  expect(readFilter(query)).toEqual({ status: 'failed', text: 'timed out' });
});

it('an instant without a zone is UTC, as the form says', () => {
  expect(readFilter({ due_from: '2026-12-01T08:00', due_to: '2026-12-01T09:00:00+02:00' })).toEqual({
    due_from: '2026-12-01T08:00:00Z',
    due_to: '2026-12-01T09:00:00+02:00',
  });
});

it('chips show each part of a filter but its state', () => {
  expect(activeParts({ status: 'failed', error: '6fa1c0de', action: '31' })).toEqual([
    { name: 'error', value: '6fa1c0de' },
    { name: 'action', value: '31' },
  ]);
});

it('says a count as far as it was counted', () => {
  expect(countWords({ count: 504, more: false })).toBe('504 rows');
  expect(countWords({ count: 1, more: false })).toBe('1 row');
  expect(countWords({ count: 10_000, more: true })).toBe('more than 10,000 rows');
  expect(countWords({ count: 120, more: true })).toBe('at least 120 rows');
});

it('the addresses of lists and rows are the filter itself, encoded', () => {
  expect(rowsHref('jobs', { status: 'failed', text: 'a&b', to: undefined })).toBe(
    '/queues/jobs/rows?status=failed&text=a%26b',
  );
  expect(rowHref('jobs', 'a:b')).toBe('/queues/jobs/rows/a%3Ab');
});

it('an act is on the selected rows, or else on all that match', () => {
  const query = { act: 'retry', status: 'failed,cancelled', text: 'x', confirm: 'may_send_twice' };
  expect(filterInputOf({ status: 'failed', decide: 'true', sort: 'finished' })).toEqual({
    status: ['failed'],
  });
  expect(readRequest(query, [])).toEqual({
    action: 'retry',
    filter: { status: ['failed', 'cancelled'], text: 'x' },
    confirm: 'may_send_twice',
  });
  expect(readRequest({ ...query, act: 'cancel' }, ['7', '8'])).toEqual({ action: 'cancel', ids: ['7', '8'] });
  expect(readRequest({ act: 'drop' }, [])).toBeNull();
  expect(forDryRun({ action: 'prioritise', ids: ['7'] }, 0)).toEqual({
    action: 'prioritise',
    ids: ['7'],
    priority: 1,
  });
});
