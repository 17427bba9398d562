import { Client } from 'pg';
import { type ApplyOptions, applyMigrations, isRaised, type MigrationFile } from './migrations.ts';

/** The database could not be reached or refused the connection. The message holds no password. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';
}

/**
 * Applies `files` to the Postgres at `databaseUrl`, over one connection that it opens and closes. Calls `onNotice` with each notice that a
 * migration raises. Throws a `ConnectError`, and otherwise as `applyMigrations` does.
 */
export async function migratePostgres(
  databaseUrl: string,
  files: MigrationFile[],
  { onNotice, ...options }: ApplyOptions & { onNotice?: (text: string) => void } = {},
): Promise<MigrationFile[]> {
  const client = await connect(databaseUrl);
  client.on('notice', (notice) => {
    if (isRaised(notice)) onNotice?.(notice.message ?? '');
  });
  try {
    const port = {
      exec: (sql: string) => client.query(sql),
      query: async (sql: string, params: unknown[]) => (await client.query(sql, params)).rows,
    };
    return await applyMigrations(port, files, options);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Runs `work` over one connection to the Postgres at `databaseUrl`. Throws a `ConnectError`, and otherwise as `work` does. */
export async function withPostgres<T>(
  databaseUrl: string,
  work: (query: (sql: string, params?: unknown[]) => Promise<Record<string, unknown>[]>) => Promise<T>,
): Promise<T> {
  const client = await connect(databaseUrl);
  try {
    return await work(async (sql, params) => (await client.query(sql, params)).rows);
  } finally {
    await client.end().catch(() => {});
  }
}

async function connect(databaseUrl: string): Promise<Client> {
  const place = describe(databaseUrl);
  try {
    const client = new Client({
      connectionString: databaseUrl,
      application_name: 'punctual migrate',
      connectionTimeoutMillis: 10_000,
    });
    // A broken connection fails its query, which reports it. An `error` event without a listener would end the process.
    client.on('error', () => {});
    await client.connect();
    return client;
  } catch (error) {
    throw new ConnectError(`Cannot connect to ${place}: ${reason(error, databaseUrl)}`);
  }
}

/** Returns `host:port/database`, without credentials. Throws a `ConnectError` if the text is no Postgres URL. */
function describe(databaseUrl: string): string {
  if (!URL.canParse(databaseUrl) || !/^postgres(ql)?:/.test(databaseUrl)) {
    throw new ConnectError(
      'The database URL must have the form postgres://user:password@host:5432/database. ' +
        'Percent-encode special characters in the password, for example @ : / #',
    );
  }
  const url = new URL(databaseUrl);
  return `${url.host || 'the local socket'}${url.pathname}`;
}

function reason(error: unknown, databaseUrl: string): string {
  const { message, code, errors } = error as {
    message?: string;
    code?: string;
    errors?: { message: string }[];
  };
  // A host with several addresses fails with an AggregateError that has no message of its own.
  const text = message || errors?.map((one) => one.message).join('; ') || code || String(error);
  const url = new URL(databaseUrl);
  const secrets = [url.password, decodeURIComponent(url.password), url.searchParams.get('password') ?? ''];
  return secrets.filter(Boolean).reduce((shown, secret) => shown.replaceAll(secret, '…'), text);
}
