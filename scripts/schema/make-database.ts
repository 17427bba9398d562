import { PGlite } from '@electric-sql/pglite';
import { applyMigrations, type MigrationFile } from '../../lib/store/migrate/migrations.ts';

/** Opens an empty embedded database in memory and applies the files. The caller closes it. */
export async function makeDatabase(files: MigrationFile[]): Promise<PGlite> {
  const db = await PGlite.create();
  await migrateEmbedded(db, files);
  return db;
}

/** Applies the files that an embedded database lacks. */
export const migrateEmbedded = (db: PGlite, files: MigrationFile[]) =>
  applyMigrations(
    {
      exec: (sql) => db.exec(sql),
      query: async (sql, params) => (await db.query<Record<string, unknown>>(sql, params)).rows,
    },
    files,
  );
