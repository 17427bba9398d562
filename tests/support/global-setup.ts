import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
// biome-ignore lint/correctness/useImportExtensions: it is JavaScript, with its types beside it
import { listJobs } from '../../scripts/list-jobs.mjs';
import { makeDatabase } from '../../scripts/schema/make-database.ts';
import { readSources } from '../../scripts/schema/sources.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A migrated, empty database, to be loaded by each test file. */
    snapshot: string;
  }
}

/** Making a database and migrating it takes seconds; loading one that was made takes one. */
export default async function setup(project: TestProject) {
  // Where it is only checked, a test says that the registry is not as it should be.
  if (!process.env.CI) listJobs();
  const files = [readSources(process.cwd())];
  const hash = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
  const file = path.resolve('.data/test-snapshots', `${hash}.tar`);
  if (!existsSync(file)) {
    const db = await makeDatabase(files);
    const dump = await db.dumpDataDir('none');
    await db.close();
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(`${file}.${process.pid}`, Buffer.from(await dump.arrayBuffer()));
    renameSync(`${file}.${process.pid}`, file);
  }
  project.provide('snapshot', file);
}
