import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type MigrationFile, readMigrations } from '../lib/store/migrate/migrations.ts';
import { compareCatalogues } from './schema/catalogue.ts';
import { catalogueOfFiles, readOwnMigrations } from './schema/make-database.ts';
import { findSourceFaults, readSources } from './schema/sources.ts';
import { writeMigration } from './schema/write-migration.ts';

const usage = `npm run migration -- <name>

Compares the schema that supabase/migrations makes with that of the sources in supabase/schemas, and writes the difference as a new migration:
the functions and templates that changed. A change to a table, an index or a queue's settings is yours to write: a comment names it.
Sets the version that the code needs, in lib/store/migrate/schema-version.ts.

Exit codes: 0 written or nothing to do, 1 the sources have a fault or the name is not valid.
`;

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = path.join(root, 'supabase/migrations');

/** Fourteen digits of UTC, later than every migration. */
function nextVersion(files: MigrationFile[]): string {
  const now = new Date().toISOString().replaceAll(/\D/g, '').slice(0, 14);
  const last = files.at(-1)?.version ?? '';
  return now > last ? now : String(BigInt(last) + 1n);
}

async function run(name: string): Promise<number> {
  const faults = findSourceFaults(root);
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return 1;
  const migrations = await readMigrations(folder);
  const sources = readSources(root);
  const from = await catalogueOfFiles(await readOwnMigrations(folder));
  const changes = compareCatalogues(from, await catalogueOfFiles([sources]));
  if (Object.values(changes).every((list) => list.length === 0)) {
    console.log('Nothing to do: the migrations make what the sources make.');
    return 0;
  }
  const version = nextVersion(migrations);
  const { statements } = sources;
  const { sql, byHand } = writeMigration(`${version}_${name}`, changes, { from, statements });
  writeFileSync(path.join(folder, `${version}_${name}.sql`), sql);
  const versionFile = path.join(root, 'lib/store/migrate/schema-version.ts');
  const code = readFileSync(versionFile, 'utf8');
  writeFileSync(versionFile, code.replace(/(schemaVersion = ')\d{14}/, `$1${version}`));
  console.log(`wrote supabase/migrations/${version}_${name}.sql`);
  for (const note of byHand) console.log(`By hand: ${note}.`);
  return 0;
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { help: { type: 'boolean', default: false } },
});
const [name] = positionals;
if (flags.help) process.stdout.write(usage);
else if (positionals.length !== 1 || !name || !/^[a-z][a-z0-9_]*$/.test(name)) {
  process.stderr.write(`Give the migration one name of lower-case letters, digits and _.\n\n${usage}`);
  process.exitCode = 1;
} else process.exitCode = await run(name);
