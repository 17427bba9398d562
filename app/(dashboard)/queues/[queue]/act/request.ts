import type { Query } from '@/components/link.ts';
import type { ActionName } from '../../../actions/action-words.ts';
import { VERBS } from '../../../actions/action-words.ts';
import { filterInputOf, readFilter } from '../rows/filter.ts';

/** The fields of an action that choose its rows: see `startAction`. */
export interface ActRequest {
  action: ActionName;
  ids?: string[];
  filter?: Record<string, unknown>;
  confirm?: 'may_send_twice';
}

/** Reads what an address asks for: `act`, `confirm`, and the `ids` of rows or else a filter. Null without a known act. */
export function readRequest(query: Query, ids: string[]): ActRequest | null {
  const { act = '', confirm } = query;
  if (!(act in VERBS)) return null;
  return {
    action: act as ActionName,
    ...(ids.length > 0 ? { ids } : { filter: filterInputOf(readFilter(query)) }),
    ...(act === 'retry' && confirm === 'may_send_twice' && { confirm }),
  };
}

/** Returns an action that can be tried: a dry run needs a due time or a priority, too. */
export function forDryRun(request: ActRequest, nowMs: number): object {
  if (request.action === 'reschedule') return { ...request, due_at: new Date(nowMs).toISOString() };
  return request.action === 'prioritise' ? { ...request, priority: 1 } : request;
}
