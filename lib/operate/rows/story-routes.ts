import { z } from 'zod';
import { apiJsonRoute, apiRoute } from '../../http/api-route.ts';
import { NotFoundError } from '../../http/http-error.ts';
import { storableText } from '../../http/input/storable-text.ts';
import { listRoute, pageOnly } from '../../http/page.ts';
import { errorGroupSchema, errorGroupWithSamplesSchema } from '../../store/story/error-group.ts';
import { foundRowSchema, rowStorySchema } from '../../store/story/row-story.ts';
import {
  listErrorGroups,
  markErrorGroup,
  markedErrorGroup,
  markInput,
  readErrorGroup,
} from './error-groups.ts';
import { findRows, readRow } from './read-row.ts';
import { readPath, readQueueName } from './rows-route.ts';

/** Returns a row with all that happened to it: 200 with a `RowStory`; 404, which names other queues that have such an id. */
export const readRowRoute = apiRoute({
  summary: 'Tells [the story of a row](#the-story-of-a-row).',
  response: rowStorySchema,
  errors: [404, 422],
  dashboard: true,
  async handle({ services, params: { queue, id } }) {
    const path = readPath(queue, id);
    return readRow(services, path.queue, path.id);
  },
});

const findQuery = z.strictObject({ q: storableText(500).default('').describe('The text to look for.') });

export const findRowsRoute = apiRoute({
  summary:
    'Finds rows in any queue, 20 at most, by an id, the provider’s id of a message, an idempotency key, or exactly the recipient or chat of a message or an enrolment.',
  response: z.object({ rows: z.array(foundRowSchema) }),
  dashboard: true,
  query: findQuery,
  handle: async ({ services, query }) => ({ rows: await findRows(services.rpc, query.q) }),
});

export const listErrorGroupsRoute = listRoute({
  summary: 'Lists [error groups](#error-groups), the latest seen first.',
  name: 'errors',
  item: errorGroupSchema,
  errors: [404],
  query: pageOnly,
  list: async (rpc, query, { queue }) => listErrorGroups(rpc, readQueueName(queue), query),
  dashboard: true,
});

export const readErrorGroupRoute = apiRoute({
  summary: 'Returns an error group with samples of its rows.',
  response: errorGroupWithSamplesSchema,
  errors: [404],
  dashboard: true,
  handle: async ({ services: { rpc }, params: { queue, id } }) =>
    readErrorGroup(rpc, readQueueName(queue), readGroup(id)),
});

export const markErrorGroupRoute = apiJsonRoute({
  summary: 'Marks an error group as known, or as new again.',
  example: { known: true, note: 'ticket 7' },
  body: markInput,
  response: markedErrorGroup,
  errors: [404],
  whenInvalid: 'nothing was marked',
  handle: async ({ services: { rpc }, params: { queue, id }, by, body }) =>
    markErrorGroup(rpc, readQueueName(queue), readGroup(id), by, body),
});

function readGroup(id: string): string {
  if (!/^[0-9a-f]{8}$/.test(id))
    throw new NotFoundError(`there is no error group "${id}": ids are eight hexadecimal digits`);
  return id;
}
