import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '../../http/api-route.ts';
import { NotFoundError } from '../../http/http-error.ts';
import { storableText } from '../../http/input/storable-text.ts';
import { listRoute, pageQuery } from '../../http/page.ts';
import { listErrorGroups, markErrorGroup, readErrorGroup } from './error-groups.ts';
import { findRows, readRow } from './read-row.ts';
import { readPath, readQueueName } from './rows-route.ts';

type QueueParams = { queue: string };
type IdParams = QueueParams & { id: string };

/** Returns a row with all that happened to it: 200 with a `RowStory`; 404, which names other queues that have such an id. */
export const readRowRoute = apiRoute<IdParams>(
  ({ services, params: { queue, id } }) => {
    const path = readPath(queue, id);
    return readRow(services, path.queue, path.id);
  },
  { dashboard: true },
);

const findQuery = z.strictObject({ q: storableText(500).default('') });

/** Finds rows of any queue by `?q=`, an id, a provider's id, an idempotency key or an address: 200 with `{ rows }`, 20 at most; 400. */
export const findRowsRoute = apiRoute<object, typeof findQuery>(
  async ({ services, query }) => ({ rows: await findRows(services.rpc, query.q) }),
  { dashboard: true, query: findQuery },
);

const pages = z.strictObject(pageQuery);

/** Lists a queue's error groups, the latest seen first: 200 with `{ errors, next }`; 400; 404. */
export const listErrorGroupsRoute = listRoute<QueueParams, typeof pages>({
  name: 'errors',
  list: async (rpc, query, { queue }) => listErrorGroups(rpc, readQueueName(queue), query),
  dashboard: true,
});

/** Returns an error group with samples of its rows: 200 with an `ErrorGroupWithSamples`; 404. */
export const readErrorGroupRoute = apiRoute<IdParams>(
  async ({ services: { rpc }, params: { queue, id } }) =>
    readErrorGroup(rpc, readQueueName(queue), readGroup(id)),
  { dashboard: true },
);

/** Marks an error group as known, or as new again: `{ "known", "note"? }`. 200 with `{ id, known_at, known_by, known_note }`; 404; 422. */
export const markErrorGroupRoute = apiJsonRoute<IdParams>(
  async ({ services: { rpc }, params: { queue, id }, by, body }) =>
    markErrorGroup(rpc, readQueueName(queue), readGroup(id), by, body),
  { whenInvalid: 'nothing was marked' },
);

function readGroup(id: string): string {
  if (!/^[0-9a-f]{8}$/.test(id))
    throw new NotFoundError(`there is no error group "${id}": ids are eight hexadecimal digits`);
  return id;
}
