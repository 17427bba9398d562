import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { schemaVersion } from '../../lib/store/migrate/schema-version.ts';
import { type SqlStatement, splitStatements } from '../../lib/store/migrate/sql-statements.ts';

export const schemas = 'supabase/schemas';
/** A source has fewer lines. */
const lineLimit = 400;

/** Returns all sources as one migration, in the shape that `applyMigrations` takes: it makes the schema that the migrations arrive at. */
export function readSources(root: string) {
  const statements = readOrder(root).flatMap((source) =>
    splitStatements(readFileSync(path.join(root, schemas, source), 'utf8')),
  );
  return {
    version: schemaVersion,
    name: 'sources',
    file: schemas,
    statements: [...statements, ...splitStatements(endOfMigration(`${schemaVersion}_sources`))],
  };
}

/** Returns the statements of the sources that create `punctual.<name>`, one for each signature. */
export function findFunction(statements: SqlStatement[], name: string): string[] {
  const start = new RegExp(`^create (?:or replace )?function ${name.replaceAll('.', '\\.')}\\(`, 'm');
  return statements.filter(({ text }) => start.test(text)).map(({ text }) => text);
}

/** Ends a migration: closes its functions to the public and records it, whatever tool applies it. */
export function endOfMigration(name: string): string {
  const [, version, rest] = /^(\d{14})_(.+)$/.exec(name) ?? [];
  return `select punctual.close_to_public();\nselect punctual.note_migration('${version}', '${rest}');\n`;
}

/** Returns the faults of the sources and their order, each with its remedy. */
export function findSourceFaults(root: string): string[] {
  const order = readOrder(root);
  const sources = sqlFilesOf(path.join(root, schemas));
  const list = `${schemas}/order.json`;
  return [
    ...sources
      .filter((source) => !order.includes(source))
      .map((source) => `${schemas}/${source} is not in ${list}. Add it.`),
    ...order
      .filter((source) => !sources.includes(source))
      .map((source) => `${schemas}/${source} does not exist. Remove it from ${list}.`),
    ...order
      .filter((source, n) => order.indexOf(source) !== n)
      .map((source) => `${schemas}/${source} is listed twice in ${list}. Keep one.`),
    ...sources
      .map((source) => ({ source, lines: countLines(path.join(root, schemas, source)) }))
      .filter(({ lines }) => lines >= lineLimit)
      .map(
        ({ source, lines }) =>
          `${schemas}/${source} has ${lines} lines, the limit is ${lineLimit}. Split it.`,
      ),
  ];
}

/** The sources in the order in which Postgres runs them: each table before the functions over it. No sort of their names gives it. */
function readOrder(root: string): string[] {
  return JSON.parse(readFileSync(path.join(root, schemas, 'order.json'), 'utf8'));
}

function sqlFilesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => file.split(path.sep).join('/'))
    .filter((file) => file.endsWith('.sql'))
    .sort();
}

const countLines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;
