import { z } from 'zod';
import { SqlError, type SqlResult } from '../../store/embedded/pglite-sql.ts';

/** The app did not run the SQL. The message says why, and what to do. */
export class AppCallError extends Error {
  override readonly name = 'AppCallError';
  constructor(
    message: string,
    /** Whether the app refused the SQL. Otherwise another process may listen at that address, or none. */
    readonly isFromApp: boolean,
  ) {
    super(message);
  }
}

const success = z.object({
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
const errorBody = z.object({
  error: z.object({
    kind: z.string(),
    message: z.string(),
    code: text,
    detail: text,
    hint: text,
    position: text,
  }),
});

/** Sends the SQL to the app at `url`, its endpoint `/…/sql`, which has the database in `directory` open. Throws an `AppCallError`, or a `SqlError`. */
export async function runInApp(
  { url, cronSecret, directory }: { url: string; cronSecret: string | undefined; directory: string },
  sql: string,
): Promise<SqlResult[]> {
  const { origin } = new URL(url);
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${cronSecret ?? ''}` },
    body: JSON.stringify({ sql, directory }),
    redirect: 'error',
  }).catch((error: Error) => {
    const { cause } = error as { cause?: { code?: string } };
    throw notTheApp(`${origin} does not answer (${cause?.code ?? error.message})`);
  });
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return success.parse(body).results;
  const failure = errorBody.safeParse(body).data;
  if (!failure) throw notTheApp(`${origin} answered ${response.status}`);
  const { kind, message, ...fields } = failure.error;
  if (kind === 'sql') throw new SqlError(message, fields);
  const reason =
    response.status === 404
      ? 'a production build runs no SQL. Stop it first'
      : response.status === 401
        ? "set CRON_SECRET to the app's"
        : message;
  throw new AppCallError(`${origin} answered ${response.status}: ${reason}`, true);
}

function notTheApp(fault: string): AppCallError {
  return new AppCallError(
    `${fault}: give the app's address with --url http://127.0.0.1:PORT, or end that process`,
    false,
  );
}
