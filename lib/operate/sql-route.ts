import { realpathSync } from 'node:fs';
import { z } from 'zod';
import { requireCronSecret } from '../http/auth/cron-secret';
import { readJson } from '../http/body';
import { respond } from '../http/error-response';
import { HttpError, NotFoundError } from '../http/http-error';
import { noQuery, readQuery } from '../http/query';
import { accessEnv, serverEnv } from '../services/env';
import { isError } from '../services/is-error';
import { getServices } from '../services/services';

const question = z.strictObject({
  sql: z.string(),
  /** Where the caller takes the database to be, as `realpath` has it. */
  directory: z.string(),
});

/** The app answers nobody else while SQL runs: Postgres is in its thread. */
const limitMs = 30_000;

/**
 * Runs SQL on the embedded database that this process has, for `npm run sql`: 200 with `{ results }`, 409 where it has another one, 422 with
 * what Postgres said, or that it took longer than 30 s. Without CRON_SECRET 401; on a Supabase project, and in production, there is nothing: 404.
 */
export function answerSql(request: Request): Promise<Response> {
  return respond(async () => {
    const { store } = accessEnv().sqlOpen ? serverEnv() : { store: null };
    if (store?.kind !== 'embedded') {
      throw new NotFoundError('this server takes no SQL: only development on the embedded database does');
    }
    requireCronSecret(request);
    readQuery(new URL(request.url), noQuery);
    const asked = question.safeParse(await readJson(request));
    if (!asked.success) throw new HttpError(422, 'invalid', 'send { "sql": "…", "directory": "…" }');
    const { sql } = await getServices();
    const directory = realpathSync(store.directory);
    if (sql === null || asked.data.directory !== directory) {
      throw new HttpError(409, 'other_database', `this server's database is ${directory}`);
    }
    try {
      return { results: await sql(asked.data.sql, limitMs) };
    } catch (error) {
      throw isError(error, 'SqlError') ? new HttpError(422, 'sql', error.message, error.fields) : error;
    }
  });
}
