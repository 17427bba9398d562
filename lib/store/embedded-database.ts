import { statfs } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { StoreError } from '../engine/ports/store-error';
import { lockDirectory } from './directory-lock';
import { isPanic } from './is-panic';
import { applyMigrations, isRaised, MigrationError, type MigrationFile, readMigrations } from './migrations';
import { pgliteRpc } from './pglite-rpc';
import { pgliteSql, type RunSql } from './pglite-sql';
import type { Rpc } from './rpc';

/** Room for two segments of the write-ahead log. Postgres panics where it cannot create the next one. */
const leastFreeBytes = 32 * 1024 * 1024;
/** From a panic until the database is opened again, which keeps the process busy for a second or two. */
const restMs = 5_000;

/**
 * Opens the embedded Postgres in `directory`; creates and migrates it where needed. Throws a `StoreError` when another process uses it.
 *
 * A Postgres that panicked, as it does on a full disk, would keep the process busy for ever with whatever it is asked next. It is left
 * alone, and opened again once there is room; what it had acknowledged is in its log. Until then each call throws a `StoreError`. One that
 * was stopped by cancelled SQL is opened again in the same way, by the next call.
 *
 * Calls `onNotice` with each notice that a migration raises.
 */
export async function openEmbeddedDatabase(
  directory: string,
  onNotice: (text: string) => void = () => {},
): Promise<{ rpc: Rpc; sql: RunSql; close(): Promise<void> }> {
  const files = await readMigrations();
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
      // Also where it cannot be opened: that it is tried costs as much.
      opensAt = Date.now() + restMs;
      db = await open(directory, files, onNotice);
    }
    panic = null;
    try {
      return await work(db);
    } catch (error) {
      if (isPanic((error as Error).cause)) {
        closeFiles(db);
        db = null;
        // After SQL that was cancelled, a SqlError, the next call opens it at once.
        if (error instanceof StoreError) {
          panic = error;
          opensAt = Date.now() + restMs;
        }
      }
      throw error;
    }
  }

  /** One at a time: none may reach a database that the one before has seen panic. */
  function inTurn<T>(work: (db: PGlite) => Promise<T>): Promise<T> {
    const answer = latest.then(() => call(work));
    latest = answer.catch(() => {});
    return answer;
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
    if (bavail * bsize < leastFreeBytes) {
      const message = `${directory} has less than ${leastFreeBytes / 1024 / 1024} MB left`;
      throw new StoreError('unavailable', message, '53100');
    }
    const db = await PGlite.create(directory);
    await applyMigrations(
      {
        exec: (sql) =>
          db.exec(sql, { onNotice: (notice) => isRaised(notice) && onNotice(notice.message ?? '') }),
        query: async (sql, params) => (await db.query<Record<string, unknown>>(sql, params)).rows,
      },
      files,
    );
    return db;
  } catch (error) {
    if (error instanceof MigrationError || error instanceof StoreError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StoreError('unavailable', `the embedded database in ${directory} cannot be opened: ${reason}`);
  }
}

/** Of a database that cannot be asked to close. */
function closeFiles(db: PGlite): void {
  const { FS } = db.Module;
  for (const stream of FS.streams) {
    try {
      if (stream) FS.close(stream);
    } catch {
      // It is closed, or never was a file.
    }
  }
}
