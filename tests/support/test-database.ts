import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { inject } from 'vitest';
import { pgliteRpc } from '../../lib/store/pglite-rpc.ts';
import type { Rpc } from '../../lib/store/rpc.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { installReset } from './reset-sql.ts';

export interface TestDatabase {
  rpc: Rpc;
  /** As the owner. Values come back as Postgres' JSON of them: numbers, ISO strings, objects. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape, for assertions
  sql(text: string, params?: unknown[]): Promise<any[]>;
  /** Empties our tables and restores the registry as the migrations leave it. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

type Connection = Pick<TestDatabase, 'rpc' | 'sql' | 'close'>;

/** Survives from file to file, since a worker runs its files in one process. */
const worker = globalThis as typeof globalThis & { testDatabase?: Promise<Connection> };

/**
 * Opens an empty, migrated database: the worker's one embedded Postgres, or real Postgres behind PostgREST where STACK_POSTGRES is set.
 * Opening one takes seconds, so the files of a worker share it. A file that creates or changes tables, functions,
 * schemas, roles or settings asks for a database of its `own`; `close` fails for one that should have.
 */
export async function openTestDatabase({ own = false } = {}): Promise<TestDatabase> {
  const open = process.env.STACK_POSTGRES ? openReal : openEmbedded;
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

/** A text that differs once anything but rows has changed. TRUNCATE writes to pg_class, so pg_class is compared by its names. */
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

async function openEmbedded(): Promise<Connection> {
  const db = await PGlite.create({ loadDataDir: new Blob([readFileSync(inject('snapshot'))]) });
  // Whatever the machine's speed, a call does all that it can.
  await db.exec('set punctual.call_ms = 60000');
  return {
    rpc: pgliteRpc(db),
    async sql(text, params = []) {
      const { rows } = await db.query(text, params);
      return plain(rows);
    },
    close: () => db.close(),
  };
}

async function openReal(): Promise<Connection> {
  const { startStack } = await import('../stack/start-stack.ts');
  const stack = await startStack();
  return {
    rpc: supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey }),
    async sql(text, params) {
      return plain(await stack.sql(text, params));
    },
    close: () => stack.stop(),
  };
}

/** Both drivers' values as one: dates as ISO strings, counts as numbers. */
// biome-ignore lint/suspicious/noExplicitAny: rows of any shape, for assertions
function plain(rows: unknown[]): any[] {
  return JSON.parse(
    JSON.stringify(rows, (_key, value) =>
      typeof value === 'bigint' || (typeof value === 'string' && /^\d{1,15}$/.test(value))
        ? Number(value)
        : value,
    ),
  );
}
