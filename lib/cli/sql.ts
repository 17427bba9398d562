import { existsSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { StoreError } from '../engine/ports/store-error.ts';
import { EnvError, serverEnv } from '../services/env.ts';
import { openEmbeddedDatabase } from '../store/embedded/embedded-database.ts';
import { SqlError, type SqlResult } from '../store/embedded/pglite-sql.ts';
import { MigrationError } from '../store/migrate/migrations.ts';
import { directoryInUseCode } from '../store/rpc.ts';
import { CliError } from './cli-error.ts';
import { readAppPaths } from './project/init-files.ts';
import { printError, printResults } from './sql/print-results.ts';
import { AppCallError, runInApp } from './sql/run-in-app.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual sql "select …"
npx punctual sql < file.sql

Runs SQL on the embedded database, all statements or none. While \`npm run dev\` or the demo has the database open, the app runs the
SQL and cancels it after 30 s. Otherwise this process opens the database, applies new migrations first, and has no time limit.

  --url URL   the app's address (default: http://127.0.0.1:3000)

The directory is PUNCTUAL_DATA, or else .data/punctual. It and the app's CRON_SECRET are read from the environment, .env.local or .env.

Exit codes: 0 done, 1 Postgres refused the SQL, 2 no database or wrong arguments.
`;

/** Runs SQL on the embedded database. Returns the exit code. Throws a `CliError` if there is no usable database. */
export async function sql(args: string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { url: { type: 'string' } },
  });
  if (positionals.length === 0 && process.stdin.isTTY) {
    terminal.print(usage);
    return 2;
  }
  const text = positionals.length > 0 ? positionals.join(' ') : await readText(process.stdin);
  try {
    terminal.print(await answer(text, values.url, terminal));
    return 0;
  } catch (error) {
    if (error instanceof SqlError) throw new CliError(printError(error, text), 1);
    const isExpected = [AppCallError, EnvError, MigrationError, StoreError].some(
      (known) => error instanceof known,
    );
    throw isExpected ? new CliError((error as Error).message) : error;
  }
}

async function answer(text: string, url: string | undefined, { folder, env }: Terminal): Promise<string> {
  const { store, cronSecrets } = serverEnv(env);
  if (store.kind !== 'embedded') {
    throw new CliError(
      `The environment sets the Supabase project ${store.url}: use psql, or Supabase's SQL editor. For the embedded database set STORE=embedded.`,
    );
  }
  const base = url ?? `http://127.0.0.1:${env.PORT || 3_000}`;
  const app = { url: new URL(endpointIn(folder), base).href, cronSecret: cronSecrets[0] };
  return printResults(await run(store.directory, text, app)).trimEnd();
}

/** The endpoint that runs SQL. Punctual's own app has the API at /api, and other apps have it below /api/punctual. */
function endpointIn(folder: string): string {
  const isMounted = ['app', 'src/app'].some((name) => existsSync(path.join(folder, name, 'api/punctual')));
  const { basePath, trailingSlash } = readAppPaths(folder);
  return `${basePath}/api${isMounted ? '/punctual' : ''}/sql${trailingSlash ? '/' : ''}`;
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
