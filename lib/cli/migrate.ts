import path from 'node:path';
import { parseArgs } from 'node:util';
import { ConnectError, migratePostgres } from '../store/migrate/migrate-postgres.ts';
import { MigrationError, type MigrationFile, readMigrations } from '../store/migrate/migrations.ts';
import { CliError } from './cli-error.ts';
import { migrationsFolder } from './project/missing-migrations.ts';
import type { Terminal } from './terminal.ts';

export const usage = `npx punctual migrate [--url postgres://…] [--folder supabase/migrations] [--dry-run]

Applies the migrations that the database does not have yet, and records them in punctual.schema_migrations. Migrations that
\`supabase db push\` applied count as applied. The database is --url, or else DATABASE_URL from the environment, .env.local or .env.

Exit codes: 0 applied or nothing to do, 1 a migration failed, 2 no usable database or wrong arguments.
`;

/** Applies the migrations. Returns the exit code. Throws a `CliError` for an error that a person must mend. */
export async function migrate(args: string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      url: { type: 'string' },
      folder: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
    },
  });
  try {
    return await apply(values.url ?? terminal.env.DATABASE_URL, values, terminal);
  } catch (error) {
    if (error instanceof ConnectError) throw new CliError(error.message);
    if (error instanceof MigrationError) throw new CliError(error.message, 1);
    throw error;
  }
}

async function apply(
  databaseUrl: string | undefined,
  { folder, 'dry-run': dryRun }: { folder?: string; 'dry-run': boolean },
  { print, folder: root }: Terminal,
): Promise<number> {
  if (!databaseUrl) {
    throw new ConnectError(
      'No database is set. Set DATABASE_URL, or pass --url postgres://user:password@host:5432/database. ' +
        'The embedded database needs no command: it migrates itself when it starts.',
    );
  }
  const files = await readMigrations(path.resolve(root, folder ?? migrationsFolder));
  const applied = await migratePostgres(databaseUrl, files, {
    dryRun,
    onApplied: (file) => print(`applied ${file.file}`),
    onTakenOver: (files) => print(takenOver(files)),
    onNotice: (text) => print(text),
  });
  if (dryRun) for (const file of applied) print(`would apply ${file.file}`);
  print(
    applied.length === 0
      ? `Nothing to do: all ${files.length} migrations are applied.`
      : `${applied.length} of ${files.length} migrations ${dryRun ? 'would be applied' : 'applied'}.`,
  );
  return 0;
}

/** An earlier version of this command wrote them into Supabase's history, or `supabase db push` did. Only their owner knows which. */
function takenOver(files: MigrationFile[]): string {
  const versions = files.map(({ version }) => version).join(' ');
  return (
    `${files.length} migrations are in Supabase's own history, so they count as applied. ` +
    `If \`supabase db push\` does not find them in your project, run: supabase migration repair --status reverted ${versions}`
  );
}
