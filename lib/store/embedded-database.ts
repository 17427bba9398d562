import { existsSync, mkdirSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { lockDirectory } from './directory-lock';
import { applyMigrations, readMigrations } from './migrations';
import { pgliteRpc } from './pglite-rpc';
import type { Rpc } from './rpc';

/** An embedded Postgres in `directory`, made and migrated where that is needed. Throws a `StoreError` when another process uses it. */
export async function openEmbeddedDatabase(directory: string): Promise<{ rpc: Rpc; close(): Promise<void> }> {
  const files = await readMigrations();
  const unlock = lockDirectory(directory);
  try {
    if (!existsSync(directory)) mkdirSync(directory, { recursive: true });
    const db = await PGlite.create(directory);
    await applyMigrations(
      {
        exec: (sql) => db.exec(sql),
        query: async (sql, params) => (await db.query<Record<string, unknown>>(sql, params)).rows,
      },
      files,
    );
    return {
      rpc: pgliteRpc(db),
      async close() {
        await db.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}
