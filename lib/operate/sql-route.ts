import { realpathSync } from 'node:fs';
import { z } from 'zod';
import { refuseCron } from '../http/auth/refuse-cron';
import { failed, isError } from '../http/failure';
import { noQuery, readQuery } from '../http/query';
import { readJson } from '../http/read-json';
import { json, problem } from '../http/respond';
import { container } from '../services/container';
import { accessEnv, serverEnv } from '../services/env';

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
export async function answerSql(request: Request): Promise<Response> {
  try {
    const { store } = accessEnv().sqlOpen ? serverEnv() : { store: null };
    if (store?.kind !== 'embedded') {
      return problem(
        404,
        'not_found',
        'this server takes no SQL: only development on the embedded database does',
      );
    }
    const refused = refuseCron(request);
    if (refused) return refused;
    const query = readQuery(new URL(request.url), noQuery);
    if ('refused' in query) return query.refused;
    const body = await readJson(request);
    if ('refused' in body) return body.refused;
    const asked = question.safeParse(body.value);
    if (!asked.success) return problem(422, 'invalid', 'send { "sql": "…", "directory": "…" }');
    const { sql } = await container();
    const directory = realpathSync(store.directory);
    if (sql === null || asked.data.directory !== directory) {
      return problem(409, 'other_database', `this server's database is ${directory}`);
    }
    return json(200, { results: await sql(asked.data.sql, limitMs) });
  } catch (error) {
    return isError(error, 'SqlError')
      ? problem(422, 'sql', error.message, { ...error.fields })
      : failed(error);
  }
}
