import { realpathSync } from 'node:fs';
import { z } from 'zod';
import { requireCronSecret } from '../http/auth/cron-secret.ts';
import { readJson } from '../http/body.ts';
import { describeEndpoint } from '../http/describe-endpoint.ts';
import { respond } from '../http/error-response.ts';
import { HttpError, NotFoundError } from '../http/http-error.ts';
import { noQuery, readQuery } from '../http/query.ts';
import { accessEnv, serverEnv } from '../services/env.ts';
import { isError } from '../services/is-error.ts';
import { getServices } from '../services/services.ts';

const bodySchema = z.strictObject({
  sql: z.string(),
  directory: z
    .string()
    .describe('The directory of the database that the caller means, as `realpath` returns it.'),
});

/** Postgres runs in the app's thread, so the app answers nobody else while SQL runs. */
const limitMs = 30_000;

/**
 * Runs SQL on this process's embedded database, for `npm run sql`. It responds 200 with `{ results }`, 409 if the process has another database, 422
 * with the error of Postgres or if the SQL took longer than 30 s, and 401 without CRON_SECRET. On a Supabase project and in production it responds
 * 404.
 */
function runSql(request: Request): Promise<Response> {
  return respond(async () => {
    const { store } = accessEnv().sqlOpen ? serverEnv() : { store: null };
    if (store?.kind !== 'embedded') {
      throw new NotFoundError(
        'this server does not run SQL: only a development server on the embedded database does',
      );
    }
    requireCronSecret(request);
    readQuery(new URL(request.url), noQuery);
    const body = bodySchema.safeParse(await readJson(request));
    if (!body.success) throw new HttpError(422, 'invalid', 'send { "sql": "…", "directory": "…" }');
    const { sql } = await getServices();
    const directory = realpathSync(store.directory);
    if (sql === null || body.data.directory !== directory) {
      throw new HttpError(
        409,
        'other_database',
        `this server has another database, ${directory}: pass the address of the app that has yours open with --url, or set PUNCTUAL_DATA to this one`,
      );
    }
    try {
      return { results: await sql(body.data.sql, limitMs) };
    } catch (error) {
      throw isError(error, 'SqlError') ? new HttpError(422, 'sql', error.message, error.fields) : error;
    }
  });
}

const result = z.object({
  command: z.string().describe('`SELECT`, `UPDATE`, `CREATE`, …'),
  rowCount: z.number().nullable().describe('Rows that it returned or changed; null if it does neither.'),
  columns: z.array(z.string()),
  rows: z.array(z.array(z.string().nullable())).describe('Values in Postgres’s text format.'),
});

export const sqlRoute = describeEndpoint(runSql, {
  summary: 'Runs SQL on the embedded database, for `npm run sql`, in development only.',
  access: 'cron',
  body: bodySchema,
  response: z.object({ results: z.array(result) }),
  errors: [404, 409],
});
