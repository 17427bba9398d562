import { PGlite } from '@electric-sql/pglite';
import { lockDirectory } from './directory-lock';
import { applyMigrations, MigrationError, readMigrations } from './migrations';
import { pgliteRpc } from './pglite-rpc';
import { type Rpc, StoreError } from './rpc';

/** An embedded Postgres in `directory`, made and migrated where that is needed. Throws a `StoreError` when another process uses it. */
export async function openEmbeddedDatabase(directory: string): Promise<{ rpc: Rpc; close(): Promise<void> }> {
  const files = await readMigrations();
  let unlock = () => {};
  try {
    unlock = lockDirectory(directory);
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
    if (error instanceof MigrationError || error instanceof StoreError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreError('unavailable', `the embedded database in ${directory} cannot be opened: ${reason}`);
  }
}
