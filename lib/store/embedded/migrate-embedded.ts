import type { PGlite } from '@electric-sql/pglite';
import { applyMigrations, isRaised, type MigrationFile } from '../migrate/migrations.ts';

/** Applies the files that an embedded database lacks. Calls `onNotice` with each notice that a migration raises. Throws as `applyMigrations`. */
export function migrateEmbedded(
  db: PGlite,
  files: MigrationFile[],
  onNotice: (text: string) => void = () => {},
): Promise<MigrationFile[]> {
  return applyMigrations(
    {
      exec: (sql) =>
        db.exec(sql, { onNotice: (notice) => isRaised(notice) && onNotice(notice.message ?? '') }),
      query: async (sql, params) => (await db.query<Record<string, unknown>>(sql, params)).rows,
    },
    files,
  );
}
