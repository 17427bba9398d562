import type { ErrorGroup } from '../../lib/store/story/error-group.ts';
import { ago } from './queue-stats.ts';

/** A new error of one row. */
export function errorGroup(changes: Partial<ErrorGroup> = {}): ErrorGroup {
  return {
    id: '6fa10000',
    kind: 'rejected',
    code: '422',
    text: 'the recipient cannot be reached',
    example: null,
    state: 'new',
    rows_dead: 1,
    rows_dead_more: false,
    events_24h: 1,
    hours: Array.from({ length: 24 }, () => 0),
    accounts: 1,
    first_at: ago(600),
    last_at: ago(60),
    known_at: null,
    known_by: null,
    known_note: null,
    ...changes,
  };
}
