import { type Query, rowHref } from '@/components/link.ts';
import { type State, stateOf } from '@/components/state-badge.tsx';
import type { Neighbours, Place } from '@/lib/operate/rows/neighbours.ts';
import type { ListedRow } from '@/lib/store/listed-row.ts';
import type { QueueStats } from '@/lib/store/stats.ts';

/** Returns a place as an address has it: `settled,2026-12-01T08:00:00Z`. */
function placeText([segment, at]: Place): string {
  return `${segment},${at ?? ''}`;
}

/** Returns the address's parts that say where a list has a row: the list's filter and the row's place. */
export function listOf(words: QueueStats['words'], filter: Query, row: ListedRow): Query {
  const state = stateOf(words, row.status);
  return state === null ? {} : { ...filter, place: placeText(placeOf(state, row)) };
}

/** Returns the addresses of the rows beside a row of a list. */
export function neighbourHrefs(queue: string, filter: Query, { previous, next }: Neighbours) {
  const href = (row: Neighbours['next']) =>
    row && rowHref(queue, row.id, { ...filter, place: placeText(row.place) });
  return { previous: href(previous), next: href(next) };
}

function placeOf(state: State, { due_at, finished_at, row }: ListedRow): Place {
  if (state === 'pending') return ['pending', due_at];
  const { lease_expires_at: leaseEnd } = row;
  if (state === 'running') return ['running', typeof leaseEnd === 'string' ? leaseEnd : null];
  return ['settled', finished_at];
}
