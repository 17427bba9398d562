import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { inject } from 'vitest';
import { pgliteRpc } from '../../lib/store/pglite-rpc';
import type { Rpc } from '../../lib/store/rpc';
import { supabaseRpc } from '../../lib/store/supabase-rpc';

export interface TestDatabase {
  rpc: Rpc;
  /** As the owner. Values come back as Postgres' JSON of them: numbers, ISO strings, objects. */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any shape, for assertions
  sql(text: string, params?: unknown[]): Promise<any[]>;
  /** Empties our tables and sets the registry back. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** What migrations put there: set back to it, in this order, while all else is emptied. */
const seeded = ['queues', 'regions', 'partitions', 'settings'];

/**
 * The same migrated database for the same tests, over either transport: embedded, or real Postgres behind PostgREST where
 * STACK_POSTGRES is set.
 */
export async function openTestDatabase(): Promise<TestDatabase> {
  const database = process.env.STACK_POSTGRES ? await openReal() : await openEmbedded();
  const [{ columns }] = await database.sql(`select string_agg(quote_ident(attname), ', ') as columns
    from pg_attribute where attrelid = 'punctual.queues'::regclass and attnum > 0 and not attisdropped`);
  const kept: Record<string, string> = {};
  for (const table of seeded) {
    const [{ rows }] = await database.sql(
      `select coalesce(jsonb_agg(to_jsonb(t)), '[]')::text as rows from punctual.${table} t`,
    );
    kept[table] = rows;
  }
  const [{ tables }] = await database.sql(
    `select array_agg(t) as tables from (
       select format('punctual.%I', c.relname) as t from pg_class c
        where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r' and c.relname <> all ($1::text[])
       union select format('%I.%I', q.table_schema, q.table_name) from punctual.queues q where q.source = 'table') x`,
    [seeded],
  );
  return {
    ...database,
    async reset() {
      // Only what holds something, since each table costs new files for it and its indexes.
      const [{ used }] = await database.sql(
        `select string_agg(t, ', ') as used from unnest($1::text[]) t where pg_relation_size(t::regclass) > 0`,
        [tables],
      );
      if (used) await database.sql(`truncate ${used} restart identity cascade`);
      await database.sql(
        `delete from punctual.queues where name <> all (select x->>'name' from jsonb_array_elements($1) x)`,
        [kept.queues],
      );
      await database.sql(
        `update punctual.queues q set (${columns}) = (select ${columns} from jsonb_populate_record(null::punctual.queues, x))
           from jsonb_array_elements($1) x where q.name = x->>'name'`,
        [kept.queues],
      );
      for (const table of seeded.filter((name) => name !== 'queues')) {
        await database.sql(`delete from punctual.${table}`);
        await database.sql(
          `insert into punctual.${table} select t.* from jsonb_array_elements($1) x, jsonb_populate_record(null::punctual.${table}, x) t
           on conflict do nothing`,
          [kept[table]],
        );
      }
    },
  };
}

async function openEmbedded(): Promise<Omit<TestDatabase, 'reset'>> {
  const db = await PGlite.create({ loadDataDir: new Blob([readFileSync(inject('snapshot'))]) });
  return {
    rpc: pgliteRpc(db),
    async sql(text, params = []) {
      const { rows } = await db.query(text, params);
      return plain(rows);
    },
    close: () => db.close(),
  };
}

async function openReal(): Promise<Omit<TestDatabase, 'reset'>> {
  const { startStack } = await import('../stack/start-stack');
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
