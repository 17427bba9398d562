import { apiJsonRoute, apiRoute } from '../../http/api-route.ts';
import { NotFoundError } from '../../http/http-error.ts';
import { queueName, rowId } from '../../http/input/row-id.ts';
import { explanationSchema } from '../../store/explanation.ts';
import { explainRow } from './explain-row.ts';
import { listRows, rowPage, rowsQuery } from './list-rows.ts';
import { resolvedRow, resolveInput, resolveRow } from './resolve-row.ts';

/**
 * Returns the route that lists the rows of `onlyQueue`, or else of the path's queue. `?status=` names states, by the queue's own
 * words or the states' names; the other parameters are those of `filterQuery`, `sort`, `count`, and `limit` and `cursor` as in every list. It
 * responds 200 with `{ rows, next, count? }`, 400 with `{ errors: [{ field, message }] }`, or 404.
 */
export function listRowsRoute(onlyQueue?: string) {
  return apiRoute({
    summary:
      onlyQueue === undefined
        ? '[Finds rows](#find-rows).'
        : `Lists the rows of the queue, as \`/api/queues/${onlyQueue}/rows\`.`,
    example: 'status=failed&text=timed%20out&count=true',
    response: rowPage,
    errors: [404],
    dashboard: true,
    query: rowsQuery,
    async handle({ services: { rpc }, query, params: { queue = onlyQueue } }) {
      const { items, ...more } = await listRows(rpc, readQueueName(queue), query);
      return { rows: items, ...more };
    },
  });
}

/** Returns the route that explains a row: what it waits for, the rows before it, and its history. 404. */
export function explainRowRoute(onlyQueue?: string) {
  return apiRoute({
    summary: 'Says [why the row waits](pace.md#why-a-row-waits), and shows its history.',
    response: explanationSchema,
    errors: [404, 422],
    dashboard: true,
    async handle({ services, params: { queue = onlyQueue, id } }) {
      const path = readPath(queue, id);
      return explainRow(services, path.queue, path.id);
    },
  });
}

/**
 * Returns the route that resolves an unknown row or cancels a pending one: `{ "decision", "attempt"?, "note"? }`. The decision is the queue's own
 * word or a state. It responds 200 with `{ id, status }`, 409 with the row's state if there is nothing to decide, 404 or 422.
 */
export function resolveRowRoute(onlyQueue?: string) {
  return apiJsonRoute({
    summary:
      '[Decides](operating.md#decide-about-unknown-rows) about an unknown row. `{ "decision": "cancelled" }` also cancels a pending one.',
    body: resolveInput,
    response: resolvedRow,
    errors: [404, 409],
    whenInvalid: 'nothing was decided',
    async handle({ services, params: { queue = onlyQueue, id }, by, body }) {
      const path = readPath(queue, id);
      return resolveRow(services.rpc, path.queue, path.id, by, body);
    },
  });
}

/** Returns the queue of a path. Throws a `NotFoundError` if no queue can have the name. */
export function readQueueName(queue: string | undefined): string {
  const name = queueName.safeParse(queue);
  if (!name.success) throw new NotFoundError(`there is no queue "${queue}"`);
  return name.data;
}

/** Returns the queue and the row's id of a path. Throws a `NotFoundError` if no row can have the id. */
export function readPath(queue: string | undefined, id: string): { queue: string; id: string } {
  const name = readQueueName(queue);
  const parsedId = rowId.safeParse(id);
  if (!parsedId.success) throw new NotFoundError(`there is no row "${id}" in ${queue}`);
  return { queue: name, id: parsedId.data };
}
