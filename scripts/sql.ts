import { realpathSync } from 'node:fs';
import { text as readText } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { StoreError } from '../lib/engine/ports/store-error.ts';
import { EnvError, serverEnv } from '../lib/services/env.ts';
import { loadEnvFiles } from '../lib/services/load-env-files.ts';
import { openEmbeddedDatabase } from '../lib/store/embedded/embedded-database.ts';
import { SqlError, type SqlResult } from '../lib/store/embedded/pglite-sql.ts';
import { MigrationError } from '../lib/store/migrate/migrations.ts';
import { directoryInUseCode } from '../lib/store/rpc.ts';
import { printError, printResults } from './sql/print-results.ts';
import { AppCallError, runInApp } from './sql/run-in-app.ts';

const usage = `npm run sql -- "select …"
npm run sql < file.sql

Runs SQL on the embedded database, all statements or none. While \`npm run dev\` or the demo has the database open, the app runs the
SQL and cancels it after 30 s. Otherwise this process opens the database, applies new migrations first, and has no time limit.

  --url URL   the app's address (default: http://127.0.0.1:3000)

The directory is PUNCTUAL_DATA, or else .data/punctual. It and the app's CRON_SECRET are read from the environment, .env.local or .env.

Exit codes: 0 done, 1 Postgres refused the SQL, 2 no database or wrong arguments.
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { url: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  const hasInput = positionals.length > 0 || !process.stdin.isTTY;
  if (values.help || !hasInput) {
    process.stdout.write(usage);
    return values.help ? 0 : 2;
  }
  const sql = positionals.length > 0 ? positionals.join(' ') : await readText(process.stdin);
  loadEnvFiles();
  const { store, cronSecrets } = serverEnv();
  if (store.kind !== 'embedded') {
    console.error(
      `The environment sets the Supabase project ${store.url}: use psql, or Supabase's SQL editor. For the embedded database set STORE=embedded.`,
    );
    return 2;
  }
  try {
    const url = values.url ?? `http://127.0.0.1:${process.env.PORT || 3_000}`;
    process.stdout.write(printResults(await run(store.directory, sql, { url, cronSecret: cronSecrets[0] })));
    return 0;
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    console.error(printError(error, sql));
    return 1;
  }
}

async function run(
  directory: string,
  sql: string,
  app: { url: string; cronSecret: string | undefined },
): Promise<SqlResult[]> {
  const database = await openEmbeddedDatabase(directory, console.error).catch((error: unknown) => {
    if (error instanceof StoreError && error.code === directoryInUseCode) return error;
    throw error;
  });
  if (!(database instanceof StoreError)) return database.sql(sql).finally(() => database.close());
  return runInApp({ ...app, directory: realpathSync(directory) }, sql).catch((error: unknown) => {
    if (!(error instanceof AppCallError) || error.isFromApp) throw error;
    throw new AppCallError(`${database.message}. ${error.message}`, false);
  });
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const isExpected = [AppCallError, EnvError, MigrationError, StoreError].some(
      (known) => error instanceof known,
    );
    console.error(isExpected || isUsage(error) ? (error as Error).message : error);
    process.exitCode = 2;
  },
);

function isUsage(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
}
