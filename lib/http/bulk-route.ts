import type { z } from 'zod';
import { type ApiCall, apiJsonRoute } from './api-route.ts';
import type { InsertedRow } from './input/insert-many.ts';
import type { noQuery, QuerySchema } from './query.ts';
import { json } from './respond.ts';

/**
 * Returns a route that creates one row, or up to 1,000 in one call, all or none. It responds 201 with `{ rows: [{ id, status, created }] }`, or 200
 * if every key existed already. An invalid row gives 422 with `{ errors: [{ index, field, message }] }`; `nothing` begins its message, for example
 * "nothing was created".
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
    { query, whenInvalid: `${nothing}; correct these fields and send all rows again` },
  );
}
