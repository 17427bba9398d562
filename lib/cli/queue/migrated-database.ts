import { type InMemoryDatabase, openInMemoryDatabase } from '../../store/embedded/in-memory-database.ts';
import { isPunctuals, type MigrationFile } from '../../store/migrate/migrations.ts';

/** What migrations of a Supabase project find there and refer to. */
const supabaseParts = `
  create role anon; create role authenticated; create role service_role;
  create schema auth; create schema storage; create schema extensions;
  create table auth.users (id uuid primary key, email text);
  create function auth.uid() returns uuid language sql stable as 'select null::uuid';
  create function auth.role() returns text language sql stable as 'select null::text';
  create function auth.jwt() returns jsonb language sql stable as 'select null::jsonb';
`;

/**
 * Applies migrations to a database in memory. An app's own may need what only Supabase has: a statement that fails is left out. Returns the database
 * and why statements failed.
 */
export async function openMigratedDatabase(
  files: MigrationFile[],
): Promise<{ database: InMemoryDatabase; faults: string[] }> {
  const database = await openInMemoryDatabase();
  const faults: string[] = [];
  await database.exec(supabaseParts);
  for (const file of files) {
    if (isPunctuals(file)) {
      await database.exec(file.statements.map(({ text }) => text).join(';\n'));
      continue;
    }
    for (const { text, line } of file.statements) {
      await database
        .exec(text)
        .catch((error: Error) => faults.push(`${file.file}, line ${line}: ${error.message}`));
    }
  }
  return { database, faults };
}
