import { z } from 'zod';
import { SqlError, type SqlResult } from '../../lib/store/pglite-sql';

/** Why the app did not run it, and what to do. */
export class AskError extends Error {
  override readonly name = 'AskError';
  constructor(
    message: string,
    /** The app has said so itself. Otherwise another process may be at that address, or none. */
    readonly isAppsOwn: boolean,
  ) {
    super(message);
  }
}

const answered = z.object({
  results: z.array(
    z.object({
      command: z.string(),
      rowCount: z.number().nullable(),
      columns: z.array(z.string()),
      rows: z.array(z.array(z.string().nullable())),
    }),
  ),
});
const text = z.string().optional();
const refused = z.object({
  error: z.object({
    kind: z.string(),
    message: z.string(),
    code: text,
    detail: text,
    hint: text,
    position: text,
  }),
});

/** Has the app at `url`, which holds the database in `directory`, run the SQL. Throws an `AskError` and a `SqlError`. */
export async function askApp(
  { url, cronSecret, directory }: { url: string; cronSecret: string | undefined; directory: string },
  sql: string,
): Promise<SqlResult[]> {
  const response = await fetch(new URL('/api/sql', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${cronSecret ?? ''}` },
    body: JSON.stringify({ sql, directory }),
    redirect: 'error',
  }).catch((error: Error) => {
    const { cause } = error as { cause?: { code?: string } };
    throw notTheApp(`${url} does not answer (${cause?.code ?? error.message})`);
  });
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return answered.parse(body).results;
  const answer = refused.safeParse(body).data;
  if (!answer) throw notTheApp(`${url} answered ${response.status}`);
  const { kind, message, ...fields } = answer.error;
  if (kind === 'sql') throw new SqlError(message, fields);
  const what =
    response.status === 404
      ? 'a production build takes no SQL: end it first'
      : response.status === 401
        ? 'set CRON_SECRET to that of the app'
        : message;
  throw new AskError(`${url} answered ${response.status}: ${what}`, true);
}

function notTheApp(what: string): AskError {
  return new AskError(
    `${what}: give the app's address by --url http://127.0.0.1:PORT, or end that process`,
    false,
  );
}
