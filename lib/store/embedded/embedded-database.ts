import { statfs } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { StoreError } from '../../engine/ports/store-error.ts';
import { MigrationError, type MigrationFile, readMigrations } from '../migrate/migrations.ts';
import type { Rpc } from '../rpc.ts';
import { lockDirectory } from './directory-lock.ts';
import { isPanic } from './is-panic.ts';
import { migrateEmbedded } from './migrate-embedded.ts';
import { pgliteRpc } from './pglite-rpc.ts';
import { pgliteSql, type RunSql } from './pglite-sql.ts';

/** Room for two segments of the write-ahead log. Postgres panics if it cannot create the next one. */
const minFreeBytes = 32 * 1024 * 1024;
/** Between a panic and the next opening, which keeps the process busy for a second or two. */
const reopenMs = 5_000;

/**
 * Opens the embedded Postgres in `directory`. Creates and migrates it if needed. Throws a `StoreError` if another process uses it.
 *
 * Postgres panics on a full disk, and its next call would keep this process busy for ever. So a panicked database gets no more calls and is
 * opened again once there is room. Its log has all that it had acknowledged. Until then each call throws a `StoreError`. After cancelled SQL,
 * the next call opens the database in the same way.
 *
 * Calls `onNotice` with each notice that a migration raises. `migrations` is the folder of the migrations, `supabase/migrations` by default.
 */
export async function openEmbeddedDatabase(
  directory: string,
  onNotice: (text: string) => void = () => {},
  migrations?: string,
): Promise<{ rpc: Rpc; sql: RunSql; close(): Promise<void> }> {
  const files = await readMigrations(migrations);
  const unlock = lockDirectory(directory);
  let db: PGlite | null = await open(directory, files, onNotice).catch((error) => {
    unlock();
    throw error;
  });
  let panic: StoreError | null = null;
  let opensAt = 0;
  let latest: Promise<unknown> = Promise.resolve();

  async function call<T>(work: (db: PGlite) => Promise<T>): Promise<T> {
    if (panic && Date.now() < opensAt) throw panic;
    if (db === null) {
      // Set before the attempt, because a failed one costs as much.
      opensAt = Date.now() + reopenMs;
      db = await open(directory, files, onNotice);
    }
    panic = null;
    try {
      return await work(db);
    } catch (error) {
      if (isPanic((error as Error).cause)) {
        closeFiles(db);
        db = null;
        // A SqlError is cancelled SQL: the next call opens the database at once.
        if (error instanceof StoreError) {
          panic = error;
          opensAt = Date.now() + reopenMs;
        }
      }
      throw error;
    }
  }

  /** Runs calls one at a time, so that none reaches a database that panicked in the call before. */
  function inTurn<T>(work: (db: PGlite) => Promise<T>): Promise<T> {
    const result = latest.then(() => call(work));
    latest = result.catch(() => {});
    return result;
  }

  return {
    rpc: (fn, args) => inTurn((db) => pgliteRpc(db)(fn, args)),
    sql: (text, limitMs) => inTurn((db) => pgliteSql(db)(text, limitMs)),
    async close() {
      await latest;
      await db?.close();
      unlock();
    },
  };
}

async function open(
  directory: string,
  files: MigrationFile[],
  onNotice: (text: string) => void,
): Promise<PGlite> {
  try {
    const { bavail, bsize } = await statfs(directory);
    if (bavail * bsize < minFreeBytes) {
      const message = `the disk of ${directory} has less than ${minFreeBytes / 1024 / 1024} MB free`;
      throw new StoreError('unavailable', message, '53100');
    }
    const db = await PGlite.create(directory);
    await migrateEmbedded(db, files, onNotice);
    return db;
  } catch (error) {
    if (error instanceof MigrationError || error instanceof StoreError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreError('unavailable', `the embedded database in ${directory} cannot be opened: ${reason}`);
  }
}

/** Closes the files of a panicked database, which cannot close itself. */
function closeFiles(db: PGlite): void {
  const { FS } = db.Module;
  for (const stream of FS.streams) {
    try {
      if (stream) FS.close(stream);
    } catch {
      // It is closed already, or is no file.
    }
  }
}
