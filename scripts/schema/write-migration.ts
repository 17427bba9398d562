import type { SqlStatement } from '../../lib/store/migrate/sql-statements.ts';
import type { CatalogueChanges, SchemaObject } from './catalogue.ts';
import { endOfMigration, findFunction } from './sources.ts';

interface MigrationText {
  sql: string;
  /** Differences that the text does not make, such as a column: they are the author's to write. */
  byHand: string[];
}

/**
 * Writes the migration that leads from the schema of the migrations to that of the sources, as far as it concerns functions and templates. A
 * function whose signature changed is dropped first. The text of each is its source's. `from`: the catalogue that the migrations make;
 * `statements`: those of the sources.
 */
export function writeMigration(
  name: string,
  { added, changed, removed }: CatalogueChanges,
  { from, statements }: { from: Map<string, SchemaObject>; statements: SqlStatement[] },
): MigrationText {
  const isOwn = ({ kind, name: object }: SchemaObject) => kind === 'function' && !isRendered(object);
  const isReplaced = (object: SchemaObject) => from.get(object.name)?.signature === object.signature;
  const dropped = [...removed.filter(isOwn), ...changed.filter((one) => isOwn(one) && !isReplaced(one))];
  const made = [...added, ...changed].filter(isOwn);
  const textsOf = (object: SchemaObject) => findFunction(statements, plainName(object.name));
  const texts = new Set(made.flatMap(textsOf));
  // In the order of the sources: Postgres checks a function in SQL when it is made.
  const sources = statements.map(({ text }) => text).filter((text) => texts.has(text));
  const templates = [...added, ...changed, ...removed].filter(({ kind }) => kind === 'template');
  const byHand = [
    ...added.map((one) => [one, 'is new'] as const),
    ...changed.map((one) => [one, 'differs'] as const),
    ...removed.map((one) => [one, 'is gone'] as const),
    // A function that no statement of its own creates, but a `do` block, is left to the author too.
  ].filter(([one]) => one.kind === 'other' || (made.includes(one) && textsOf(one).length === 0));
  const notes = byHand.map(([{ name: object }, how]) => `${object} ${how} in the sources`);

  const parts = [
    `-- ${name.slice(15).replaceAll(/[_-]/g, ' ')}\n`,
    ...notes.map((note) => `-- By hand, before the functions: ${note}.\n`),
    ...dropped.map(({ name: object }) => `drop ${object};\n`),
    ...sources.map((text) => `${text.replace(/^create function/m, 'create or replace function')};\n`),
    ...removed
      .filter(({ kind }) => kind === 'template')
      .map(({ name: template }) => {
        const [, verb, kinds] = /^template (\S+) (.*)$/.exec(template) ?? [];
        return `delete from punctual.templates where verb = '${verb}' and kinds = '${kinds}';\n`;
      }),
    ...statements
      .filter(({ text }) => templates.some((one) => !removed.includes(one) && text.includes(one.definition)))
      .map(({ text }) => `${text}\non conflict (verb, kinds) do update set text = excluded.text;\n`),
    // Templates, and the functions that fill them in, stand in each queue's own functions.
    ...(templates.length > 0 ||
    [...added, ...changed, ...removed].some(({ name: object }) => isRendered(object))
      ? ['select punctual.make_functions(q) from punctual.queues q;\n']
      : []),
    endOfMigration(name),
  ];
  return { sql: parts.join('\n'), byHand: notes };
}

/** A queue's own function, such as `punctual."dm_queue.claim"(…)`: made from templates. */
const isRendered = (object: string) => object.includes('."');

/** `function punctual.exchange(jsonb,integer)` as `punctual.exchange`. */
const plainName = (object: string) => object.replace(/^function /, '').replace(/\(.*$/, '');
