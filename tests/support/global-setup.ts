import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { makeDatabase, readOwnMigrations } from '../../scripts/schema/make-database.ts';
import { readSources } from '../../scripts/schema/sources.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The file of a migrated, empty database, from which each test database is loaded. */
    snapshot: string;
  }
}

/** Makes the snapshot, if this schema has none. Creating and migrating a database takes seconds, and loading a snapshot takes 1 s. */
export default async function setup(project: TestProject) {
  const files = [readSources(process.cwd())];
  const migrations = (await readOwnMigrations()).map(({ version, name }) => [version, name]);
  const hash = createHash('sha256')
    .update(JSON.stringify([files, migrations]))
    .digest('hex')
    .slice(0, 16);
  const file = path.resolve('.data/test-snapshots', `${hash}.tar`);
  if (!existsSync(file)) {
    const db = await makeDatabase(files);
    // As if another tool had applied the migrations: a process that opens a copy of this database finds nothing to apply, and no checksum to compare.
    for (const migration of migrations)
      await db.query(
        `insert into punctual.schema_migrations (version, name, engine) values ($1, $2, true)
         on conflict (version) do update set name = excluded.name, checksum = null`,
        migration,
      );
    const dump = await db.dumpDataDir('none');
    await db.close();
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, Buffer.from(await dump.arrayBuffer()));
    renameSync(`${file}.${process.pid}`, file);
  }
  project.provide('snapshot', file);
}
