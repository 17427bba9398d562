import type { z } from 'zod';
import { type ApiCall, apiJsonRoute } from './api-route';
import type { InsertedRow } from './input/insert-many';
import type { noQuery, QuerySchema } from './query';
import { json } from './respond';

/**
 * The route that creates one row or up to 1,000, all or none. 201 with `{ rows: [{ id, status, created }] }`, 200 where every key was there
 * already; 422 with `{ errors: [{ index, field, message }] }`. `nothing` says what was not done then: "nothing was created".
 */
export function bulkRoute<Params = object, Schema extends QuerySchema = typeof noQuery>(
  nothing: string,
  create: (call: ApiCall<Params, z.output<Schema>> & { body: unknown }) => Promise<{ rows: InsertedRow[] }>,
  query?: Schema,
) {
  return apiJsonRoute<Params, Schema>(
    async (call) => {
      const { rows } = await create(call);
      return json(rows.some(({ created }) => created) ? 201 : 200, { rows });
    },
    { query, whenInvalid: `${nothing}; mend these and send all of it again` },
  );
}
