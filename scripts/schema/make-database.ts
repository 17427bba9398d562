import { PGlite } from '@electric-sql/pglite';
import { migrateEmbedded } from '../../lib/store/embedded/migrate-embedded.ts';
import { isPunctuals, type MigrationFile, readMigrations } from '../../lib/store/migrate/migrations.ts';
import { readCatalogue } from './catalogue.ts';

/** Opens an empty embedded database in memory and applies the files. The caller closes it. */
export async function makeDatabase(files: MigrationFile[]): Promise<PGlite> {
  const db = await PGlite.create();
  await migrateEmbedded(db, files);
  return db;
}

/** Reads Punctual's own migrations, without the user's in the same folder. */
export const readOwnMigrations = async (folder?: string): Promise<MigrationFile[]> =>
  (await readMigrations(folder)).filter(isPunctuals);

export const catalogueOf = (db: PGlite) =>
  readCatalogue(async (sql) => (await db.query<Record<string, unknown>>(sql)).rows);

/** Reads the catalogue that the files make in an empty database. */
export async function catalogueOfFiles(files: MigrationFile[]) {
  const db = await makeDatabase(files);
  try {
    return await catalogueOf(db);
  } finally {
    await db.close();
  }
}
