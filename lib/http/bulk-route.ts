import { z } from 'zod';
import { type ApiCall, apiJsonRoute } from './api-route.ts';
import type { EndpointText } from './describe-endpoint.ts';
import { type InsertedRow, insertedRow, maxRows } from './input/insert-many.ts';
import type { noQuery, QuerySchema } from './query.ts';
import { json } from './respond.ts';

interface BulkRoute<Row extends z.ZodType, Query extends QuerySchema>
  extends Omit<EndpointText<z.ZodType, Query>, 'response' | 'statuses'> {
  /** The schema by which `create` checks one row, for the API's document. */
  row: Row;
  /** The beginning of the message for an invalid row, for example "nothing was created". */
  nothing: string;
  create: (call: ApiCall<z.output<Query>> & { body: unknown }) => Promise<{ rows: InsertedRow[] }>;
}

const response = z.object({ rows: z.array(insertedRow).describe('In the order of the request.') });

/**
 * Returns a route that creates one row, or up to 1,000 in one call, all or none. It responds 201 with `{ rows: [{ id, status, created }] }`, or 200
 * if every key existed already. An invalid row gives 422 with `{ errors: [{ index, field, message }] }`.
 */
export function bulkRoute<Row extends z.ZodType, Query extends QuerySchema = typeof noQuery>({
  row,
  nothing,
  create,
  ...text
}: BulkRoute<Row, Query>) {
  return apiJsonRoute({
    ...text,
    body: z.union([row, z.array(row).min(1).max(maxRows)]),
    response,
    statuses: [201, 200],
    whenInvalid: `${nothing}; correct these fields and send all rows again`,
    async handle(call) {
      const { rows } = await create(call);
      return json(rows.some(({ created }) => created) ? 201 : 200, { rows });
    },
  });
}
