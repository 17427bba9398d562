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

/**
 * The same migrated database for the same tests, over either transport: embedded, or real Postgres behind PostgREST where
 * STACK_POSTGRES is set.
 */
export async function openTestDatabase(): Promise<TestDatabase> {
  const database = process.env.STACK_POSTGRES ? await openReal() : await openEmbedded();
  const [{ registry }] = await database.sql(
    'select jsonb_agg(to_jsonb(q)) as registry from punctual.queues q',
  );
  return {
    ...database,
    async reset() {
      await database.sql(
        'truncate punctual.ticks, punctual.dm_queue, punctual.pace, punctual.accounts, punctual.providers, punctual.history, punctual.receipts restart identity',
      );
      await database.sql(`delete from punctual.queues where name <> 'dm_queue'`);
      const columns = Object.keys(registry[0]).join(', ');
      await database.sql(
        `update punctual.queues q set (${columns}) = (select ${columns} from jsonb_populate_record(null::punctual.queues, $1)) where name = 'dm_queue'`,
        [JSON.stringify(registry.find((queue: { name: string }) => queue.name === 'dm_queue'))],
      );
      await database.sql(`update punctual.partitions set batch_limit = null, concurrency = null, max_ticks = null,
        paused_at = null, paused_reason = null, last_tick_at = null`);
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
