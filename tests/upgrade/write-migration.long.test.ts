import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { type MigrationFile, readMigrations } from '../../lib/store/migrate/migrations.ts';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { compareCatalogues, readCatalogue } from '../../scripts/schema/catalogue.ts';
import { makeDatabase } from '../../scripts/schema/make-database.ts';
import { readSources } from '../../scripts/schema/sources.ts';
import { writeMigration } from '../../scripts/schema/write-migration.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

async function catalogueOf(files: MigrationFile[]) {
  const db = await makeDatabase(files);
  const catalogue = await readCatalogue(async (sql) => (await db.query<Record<string, unknown>>(sql)).rows);
  await db.close();
  return catalogue;
}

/** The sources with each kind of change that `npm run migration` writes by itself. */
function changedSources(): MigrationFile {
  const { statements, ...sources } = readSources(root);
  const edits: [find: string, replace: string][] = [
    ['power(2, least(p_count, 10) - 1)', 'power(3, least(p_count, 10) - 1)'],
    ['punctual.refusal_wait(p_count integer)', 'punctual.refusal_wait(p_refusals integer)'],
    ['least(p_count, 10)', 'least(p_refusals, 10)'],
    ['where p_count > 0', 'where p_refusals > 0'],
    ['-- Claims up to p_want', '-- Claims at most p_want'],
  ];
  const edited = statements.map((statement) => ({
    ...statement,
    text: edits.reduce((text, [find, replace]) => text.replace(find, replace), statement.text),
  }));
  const added = splitStatements(
    `create function punctual.is_new() returns boolean language sql as $$ select true $$`,
  );
  const end = edited.findIndex(({ text }) => text.startsWith('select punctual.close_to_public'));
  return { ...sources, statements: [...edited.slice(0, end), ...added, ...edited.slice(end)] };
}

it('a generated migration leads from the schema of the migrations to that of the sources', async () => {
  const migrations = await readMigrations();
  const sources = changedSources();
  const [from, to] = await Promise.all([catalogueOf(migrations), catalogueOf([sources])]);
  const changes = compareCatalogues(from, to);
  const names = [...changes.added, ...changes.changed].map(({ name }) => name);
  expect(names).toContain('function punctual.is_new()');
  expect(names).toContain('function punctual.refusal_wait(integer)');

  const name = '20990101000000_a_day';
  const { sql, byHand } = writeMigration(name, changes, { from, statements: sources.statements });
  expect(byHand).toEqual([]);
  const written = {
    version: '20990101000000',
    name: 'a_day',
    file: `${name}.sql`,
    statements: splitStatements(sql),
  };
  const left = compareCatalogues(await catalogueOf([...migrations, written]), to);
  expect(left).toEqual({ added: [], changed: [], removed: [] });
});

it('a change to a table is named in a comment and left for its author to write', async () => {
  const from = await catalogueOf([readSources(root)]);
  const to = new Map(from);
  to.delete('column punctual.queues.paused_reason');
  const { sql, byHand } = writeMigration('20990101000000_x', compareCatalogues(from, to), {
    from,
    statements: [],
  });
  expect(byHand).toEqual(['column punctual.queues.paused_reason is gone in the sources']);
  expect(sql).toContain('-- By hand, before the functions: column punctual.queues.paused_reason is gone');
});
