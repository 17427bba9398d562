import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const schemas = 'supabase/schemas';
const migrations = 'supabase/migrations';
/** A source has fewer lines. */
const lineLimit = 400;

export interface MadeMigration {
  /** Its path in the repository. */
  file: string;
  sql: string;
}

/** Makes every migration that the manifest lists. Throws if a source cannot be read. */
export function makeMigrations(root: string): MadeMigration[] {
  return Object.entries(readManifest(root)).map(([name, sources]) => {
    const parts = sources.map((source) => readFileSync(path.join(root, schemas, source), 'utf8'));
    return { file: `${migrations}/${name}.sql`, sql: [...parts, endingOf(name)].join('\n') };
  });
}

/** Returns the migrations whose file is missing, or differs from what the sources make. */
export function findStaleMigrations(root: string): MadeMigration[] {
  return makeMigrations(root).filter(({ file, sql }) => {
    const written = path.join(root, file);
    return !existsSync(written) || readFileSync(written, 'utf8') !== sql;
  });
}

/** Returns the faults of the sources and the manifest, each with its remedy. */
export function findSourceFaults(root: string): string[] {
  const manifest = readManifest(root);
  const listed = Object.values(manifest).flat();
  const sources = sqlFilesOf(path.join(root, schemas));
  return [
    ...sources
      .filter((source) => !listed.includes(source))
      .map((source) => `${schemas}/${source} is in no migration. Add it to ${schemas}/migrations.json.`),
    ...listed
      .filter((source) => !sources.includes(source))
      .map((source) => `${schemas}/${source} does not exist. Remove it from ${schemas}/migrations.json.`),
    ...listed
      .filter((source, n) => listed.indexOf(source) !== n)
      .map((source) => `${schemas}/${source} is listed twice in ${schemas}/migrations.json. Keep one.`),
    ...sources
      .map((source) => ({ source, lines: countLines(path.join(root, schemas, source)) }))
      .filter(({ lines }) => lines >= lineLimit)
      .map(
        ({ source, lines }) =>
          `${schemas}/${source} has ${lines} lines, the limit is ${lineLimit}. Split it.`,
      ),
    ...sqlFilesOf(path.join(root, migrations))
      .map((file) => ({ file, name: file.replace(/\.sql$/, '') }))
      .filter(
        ({ file, name }) =>
          !manifest[name] && readFileSync(path.join(root, migrations, file), 'utf8').endsWith(endingOf(name)),
      )
      .map(({ file }) => `${migrations}/${file} has no sources in ${schemas}/migrations.json.`),
  ];
}

/**
 * The sources of each migration, in order. The order is a file because no sort of names gives it: a migration takes sources of several
 * areas, and Postgres needs each table before the functions over it. It is JSON, beside the sources, so that other tools can read it.
 */
function readManifest(root: string): Record<string, string[]> {
  return JSON.parse(readFileSync(path.join(root, schemas, 'migrations.json'), 'utf8'));
}

/** Every migration closes its functions to the public and notes itself. Sources do neither, so that they can move between migrations. */
function endingOf(name: string): string {
  const version = name.slice(0, 14);
  return `select punctual.close_to_public();\nselect punctual.note_migration('${version}', '${name.slice(15)}');\n`;
}

function sqlFilesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => file.endsWith('.sql'))
    .sort();
}

const countLines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;
