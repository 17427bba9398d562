import { apiJsonRoute, apiRoute } from '../http/api-route';
import { NotFoundError } from '../http/http-error';
import { queueName, rowId } from '../http/input/row-id';
import { listRoute } from '../http/page';
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
  return listRoute<OfQueue, typeof rowsQuery>({
    name: 'rows',
    query: rowsQuery,
    list: async (rpc, query, { queue = ofQueue }) => listRows(rpc, readQueue(queue), query),
    dashboard: true,
  });
}

/** Why a row stands where it stands: what it waits for, what goes before it, what it has been through. 404. */
export function explainRowRoute(ofQueue?: string) {
  return apiRoute<OfRow>(
    async ({ services, params: { queue = ofQueue, id } }) => {
      const at = readPath(queue, id);
      return explainRow(services, at.queue, at.id);
    },
    { dashboard: true },
  );
}

/**
 * Decides on a row that stands as unknown, or cancels one that is pending: `{ "decision", "attempt"?, "note"? }`, the decision as the
 * queue's own word or the state. 200 with `{ id, status }`; 409 with what it is, where there is nothing to decide (any more); 404, 422.
 */
export function resolveRowRoute(ofQueue?: string) {
  return apiJsonRoute<OfRow>(
    async ({ services, params: { queue = ofQueue, id }, by, body }) => {
      const at = readPath(queue, id);
      return resolveRow(services.rpc, at.queue, at.id, by, body);
    },
    { whenInvalid: 'nothing was decided' },
  );
}

function readQueue(queue: string | undefined): string {
  const name = queueName.safeParse(queue);
  if (!name.success) throw new NotFoundError(`there is no queue "${queue}"`);
  return name.data;
}

function readPath(queue: string | undefined, id: string): { queue: string; id: string } {
  const name = readQueue(queue);
  const row = rowId.safeParse(id);
  if (!row.success) throw new NotFoundError(`there is no row "${id}" in ${queue}`);
  return { queue: name, id: row.data };
}
