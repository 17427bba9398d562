import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { MigrationFile } from '../../lib/store/migrate/migrations.ts';
import { splitStatements } from '../../lib/store/migrate/sql-statements.ts';
import { compareCatalogues } from '../../scripts/schema/catalogue.ts';
import { catalogueOfFiles, readOwnMigrations } from '../../scripts/schema/make-database.ts';
import { endOfMigration, readSources } from '../../scripts/schema/sources.ts';
import { writeMigration } from '../../scripts/schema/write-migration.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function migration(name: string, sql: string): MigrationFile {
  const [version = ''] = name.split('_');
  return { version, name: name.slice(15), file: `${name}.sql`, statements: splitStatements(sql) };
}

/** The sources with each kind of change that `npm run migration` writes by itself. */
function changedSources(): MigrationFile {
  const { statements, ...sources } = readSources(root);
  const edits: [find: string, replace: string][] = [
    // A body, and a signature with the body that uses it.
    ['power(2, least(p_count, 10) - 1)', 'power(3, least(p_count, 10) - 1)'],
    ['punctual.refusal_wait(p_count integer)', 'punctual.refusal_wait(p_refusals integer)'],
    ['least(p_count, 10)', 'least(p_refusals, 10)'],
    ['where p_count > 0', 'where p_refusals > 0'],
    // The template of a plain claim.
    ['for no key update skip locked) d', 'for no key update  skip locked) d'],
  ];
  for (const [find] of edits) expect(statements.some(({ text }) => text.includes(find))).toBe(true);
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
  // What the sources no longer have: a function and a template.
  const gone = migration(
    '20980101000000_gone',
    `create function punctual.is_old() returns boolean language sql as $$ select true $$;
     insert into punctual.templates (verb, text)
     values ('old', 'create function {function}() returns boolean language plpgsql as $$ begin return true; end $$');
     select punctual.make_functions(q) from punctual.queues q;
     ${endOfMigration('20980101000000_gone')}`,
  );
  const migrations = [...(await readOwnMigrations()), gone];
  const sources = changedSources();
  const [from, to] = await Promise.all([catalogueOfFiles(migrations), catalogueOfFiles([sources])]);
  const changes = compareCatalogues(from, to);
  const names = Object.values(changes).flatMap((list: { name: string }[]) => list.map(({ name }) => name));
  expect(names).toEqual(
    expect.arrayContaining([
      'function punctual.is_new()',
      'function punctual.is_old()',
      'function punctual.refusal_wait(integer)',
      'template claim {plain}',
      expect.stringMatching(/^template old /),
    ]),
  );

  const name = '20990101000000_a_day';
  const { sql, byHand } = writeMigration(name, changes, { from, statements: sources.statements });
  expect(byHand).toEqual([]);
  const left = compareCatalogues(await catalogueOfFiles([...migrations, migration(name, sql)]), to);
  expect(left).toEqual({ added: [], changed: [], removed: [] });
});

it('a change to a table is named in a comment and left for its author to write', async () => {
  const from = await catalogueOfFiles([readSources(root)]);
  const to = new Map(from);
  to.delete('column punctual.queues.paused_reason');
  const changes = compareCatalogues(from, to);
  const { sql, byHand } = writeMigration('20990101000000_x', changes, { from, statements: [] });
  expect(byHand).toEqual(['column punctual.queues.paused_reason is gone in the sources']);
  expect(sql).toContain('-- By hand, before the functions: column punctual.queues.paused_reason is gone');
});

it('a function that only a `do` block creates is left for its author to write', async () => {
  const to = await catalogueOfFiles([readSources(root)]);
  const from = new Map(to);
  const name = [...to.keys()].find((one) => one.startsWith('function create_queue_worker(')) ?? '';
  from.delete(name);
  const { statements } = readSources(root);
  const { byHand } = writeMigration('20990101000000_x', compareCatalogues(from, to), { from, statements });
  expect(byHand).toEqual([`${name} is new in the sources`]);
});
