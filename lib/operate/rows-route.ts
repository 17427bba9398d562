import { apiJsonRoute, apiRoute } from '../http/api-route';
import { queueName, rowId } from '../http/input/row-path';
import { answerPage } from '../http/page';
import { refused } from '../http/refused';
import { json } from '../http/respond';
import { explainRow } from './explain-row';
import { listRows, rowsQuery } from './list-rows';
import { resolveRow } from './resolve-row';

/** `queue` is missing from the path of a route that is of one queue only. */
type OfQueue = { queue?: string };
type OfRow = OfQueue & { id: string };

/**
 * The rows of a queue, which the path names unless `ofQueue` does. `?status=` is the queue's own word or a state, and `&limit=`,
 * `&cursor=` as everywhere. 200 with `{ rows, next }`; 400 with `{ errors: [{ field, message }] }`, 404.
 */
export function listRowsRoute(ofQueue?: string) {
  return apiRoute<OfQueue, typeof rowsQuery>(
    async ({ container, params: { queue = ofQueue }, query }) => {
      const name = queueName.safeParse(queue);
      if (!name.success) return refused({ missing: `there is no queue "${queue}"` });
      return answerPage('rows', await listRows(container.rpc, name.data, query));
    },
    { dashboard: true, query: rowsQuery },
  );
}

/** Why a row stands where it stands: what it waits for, what goes before it, what it has been through. 404. */
export function explainRowRoute(ofQueue?: string) {
  return apiRoute<OfRow>(
    async ({ container, params: { queue = ofQueue, id } }) => {
      const at = readPath(queue, id);
      if ('missing' in at) return refused(at);
      const told = await explainRow(container, at.queue, at.id);
      return 'explanation' in told ? json(200, told.explanation) : refused(told);
    },
    { dashboard: true },
  );
}

/**
 * Decides on a row that stands as unknown, or cancels one that is pending: `{ "decision", "attempt"?, "note"? }`, the decision as the
 * queue's own word or the state. 200 with `{ id, status }`; 409 with what it is, where there is nothing to decide (any more); 404, 422.
 */
export function resolveRowRoute(ofQueue?: string) {
  return apiJsonRoute<OfRow>(async ({ container, params: { queue = ofQueue, id }, by, body }) => {
    const at = readPath(queue, id);
    if ('missing' in at) return refused(at);
    const door = by === 'api-key' ? 'api' : 'dashboard';
    const resolved = await resolveRow(container.rpc, at.queue, at.id, door, body);
    return 'row' in resolved ? json(200, resolved.row) : refused(resolved, 422, 'nothing was decided');
  });
}

function readPath(
  queue: string | undefined,
  id: string,
): { queue: string; id: string } | { missing: string } {
  const name = queueName.safeParse(queue);
  if (!name.success) return { missing: `there is no queue "${queue}"` };
  const row = rowId.safeParse(id);
  return row.success
    ? { queue: name.data, id: row.data }
    : { missing: `there is no row "${id}" in ${queue}` };
}
