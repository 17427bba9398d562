import { describe, expect, it } from 'vitest';
import { listOf, neighbourHrefs } from '../../../../../app/(dashboard)/queues/[queue]/rows/place.ts';
import { parsePlace } from '../../../../../lib/operate/rows/neighbours.ts';
import type { ListedRow } from '../../../../../lib/store/listed-row.ts';
import { queueStats } from '../../../queue-stats.ts';

const words = { ...queueStats().words, dead: 'failed' };
const at = '2026-12-01T08:00:00.123456+00:00';
const row = (status: string, more: Partial<ListedRow> = {}): ListedRow => ({
  ...{ id: '7', status, due_at: null, attempts: 0, last_error: null, finished_at: null },
  ...{ account: null, reconcile: null, row: {} },
  ...more,
});

describe('the address of a row in a list', () => {
  it.each([
    ['failed', { finished_at: at }, `settled,${at}`],
    [words.pending, { due_at: at }, `pending,${at}`],
    [words.running, { row: { lease_expires_at: at } }, `running,${at}`],
    [words.done, {}, 'settled,'],
    [words.pending, { due_at: 'infinity' }, 'pending,infinity'],
    [words.pending, { due_at: '2026-12-01 08:00:00+00' }, 'pending,2026-12-01 08:00:00+00'],
  ])('has the filter and the place of a row that is %s', (status, more, place) => {
    expect(listOf(words, { error: '6fa1c0de' }, row(status, more))).toEqual({ error: '6fa1c0de', place });
    const [segment, instant] = place.split(',');
    expect(parsePlace(place)).toEqual([segment, instant || null]);
  });

  it('names no list for a row whose status is no word of the queue', () => {
    expect(listOf(words, { status: 'failed' }, row('lost'))).toEqual({});
  });

  it.each([undefined, '', 'gone,', 'settled,yesterday', 'settled,12'])(
    'is no place if it says %j',
    (text) => {
      expect(parsePlace(text)).toBeNull();
    },
  );

  it('leads to the rows beside it, in the same list', () => {
    const next = { id: 'a:8', place: ['settled', null] as ['settled', null] };
    expect(neighbourHrefs('jobs', { status: 'failed' }, { previous: null, next })).toEqual({
      previous: null,
      next: '/queues/jobs/rows/a%3A8?status=failed&place=settled%2C',
    });
  });
});
