import { readFileSync } from 'node:fs';
import { inject } from 'vitest';
import type { Rpc } from '../../lib/store/rpc.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { asJson, openSnapshot } from '../../lib/testing/memory-database.ts';
import { installReset } from './reset-sql.ts';

export interface TestDatabase {
  rpc: Rpc;
  /** Runs a statement as the owner. Values come back as in JSON: numbers, ISO strings, objects. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape, for assertions
  sql(text: string, params?: unknown[]): Promise<any[]>;
  /** Empties our tables and restores the registry as the migrations leave it. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

type Connection = Pick<TestDatabase, 'rpc' | 'sql' | 'close'>;

/** Shared by all files of a worker, because it runs them in one process. */
const worker = globalThis as typeof globalThis & { testDatabase?: Promise<Connection> };

/**
 * Opens an empty, migrated database: the worker's one embedded Postgres, or real Postgres behind PostgREST if STACK_POSTGRES is set. Opening
 * one takes seconds, so the files of a worker share it. Pass `own` in a file that creates or changes tables, functions, schemas, roles or
 * settings. Without it, `close` throws in such a file.
 */
export async function openTestDatabase({ own = false } = {}): Promise<TestDatabase> {
  const open = process.env.STACK_POSTGRES ? openReal : openMemory;
  if (own) return resettable(await prepared(await open()));

  worker.testDatabase ??= open().then(prepared);
  const database = resettable(await worker.testDatabase);
  await database.reset();
  const before = await catalogueOf(database);
  return {
    ...database,
    async close() {
      if ((await catalogueOf(database)) === before) return;
      worker.testDatabase = undefined;
      await database.close();
      throw new Error(
        'This file changed the schema. Open its database with openTestDatabase({ own: true }).',
      );
    },
  };
}

async function prepared(connection: Connection): Promise<Connection> {
  await installReset(connection.sql);
  return connection;
}

const resettable = (connection: Connection): TestDatabase => ({
  ...connection,
  async reset() {
    await connection.sql('select test_support.reset()');
  },
});

/** Returns a fingerprint of everything except rows. TRUNCATE writes to pg_class, so only the names in pg_class count. */
async function catalogueOf(database: Connection): Promise<string> {
  const written = [
    'pg_proc',
    'pg_attribute',
    'pg_constraint',
    'pg_trigger',
    'pg_namespace',
    'pg_authid',
    'pg_type',
  ];
  const [{ catalogue }] = await database.sql(`select concat_ws(' ',
    ${written.map((name) => `(select count(*) || '/' || max(xmin::text::bigint) from ${name})`)},
    (select count(*) || '/' || sum(hashtext(relname)::bigint) from pg_class),
    (select string_agg(setconfig::text, ' ') from pg_db_role_setting)) as catalogue`);
  return catalogue;
}

const openMemory = (): Promise<Connection> => openSnapshot(new Blob([readFileSync(inject('snapshot'))]));

async function openReal(): Promise<Connection> {
  const { startStack } = await import('../stack/start-stack.ts');
  const stack = await startStack();
  return {
    rpc: supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey }),
    async sql(text, params) {
      return asJson(await stack.sql(text, params));
    },
    close: () => stack.stop(),
  };
}
