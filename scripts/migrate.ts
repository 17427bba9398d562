import { parseArgs } from 'node:util';
import { loadEnvFiles } from '../lib/services/load-env-files.ts';
import { ConnectError, migratePostgres } from '../lib/store/migrate/migrate-postgres.ts';
import { MigrationError, type MigrationFile, readMigrations } from '../lib/store/migrate/migrations.ts';

const usage = `npm run migrate -- [--url postgres://…] [--folder supabase/migrations] [--dry-run]

Applies the migrations that the database does not have yet, and records them in punctual.schema_migrations. Migrations that
\`supabase db push\` applied count as applied. The database is --url, or else DATABASE_URL from the environment, .env.local or .env.

Exit codes: 0 applied or nothing to do, 1 a migration failed, 2 no usable database or wrong arguments.
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      url: { type: 'string' },
      folder: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  loadEnvFiles();
  const databaseUrl = values.url ?? process.env.DATABASE_URL;
  if (!databaseUrl) {
    throw new ConnectError(
      'No database is set. Set DATABASE_URL, or pass --url postgres://user:password@host:5432/database. ' +
        'The embedded database needs no command: it migrates itself when it starts.',
    );
  }
  const files = await readMigrations(values.folder);
  const dryRun = values['dry-run'];
  const applied = await migratePostgres(databaseUrl, files, {
    dryRun,
    onApplied: (file) => console.log(`applied ${file.file}`),
    onTakenOver: (files) => console.log(takenOver(files)),
    onNotice: (text) => console.log(text),
  });
  if (dryRun) for (const file of applied) console.log(`would apply ${file.file}`);
  console.log(
    applied.length === 0
      ? `Nothing to do: all ${files.length} migrations are applied.`
      : `${applied.length} of ${files.length} migrations ${dryRun ? 'would be applied' : 'applied'}.`,
  );
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = error instanceof ConnectError || isUsage(error) ? 2 : 1;
    if (!(error instanceof MigrationError) && process.exitCode === 1) console.error((error as Error).stack);
  },
);

/** An earlier version of this command wrote them into Supabase's history, or `supabase db push` did. Only their owner knows which. */
function takenOver(files: MigrationFile[]): string {
  const versions = files.map(({ version }) => version).join(' ');
  return (
    `${files.length} migrations are in Supabase's own history, so they count as applied. ` +
    `If \`supabase db push\` does not find them in your project, run: supabase migration repair --status reverted ${versions}`
  );
}

function isUsage(error: unknown): boolean {
  return String((error as { code?: unknown }).code).startsWith('ERR_PARSE_ARGS');
}
