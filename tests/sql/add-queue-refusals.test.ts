import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { appDatabase } from '../support/own-tables.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';
import { allButCancelled, type Mistake, refusals } from './add-queue-refusals.ts';

const database = appDatabase();

const enumMessage =
  'add_queue: the word "cancelled" was added to app.state in this transaction, and cannot be used before its end';
const literal = (text: string | null) => (text === null ? 'null' : `'${text}'`);

function callOf({ queue = 't', table = 'app.t', due = 'due', delivery = 'at-least-once', more }: Mistake) {
  const call = [queue, table, due, delivery].map(literal).join(', ');
  return `select punctual.add_queue(${call}${more ? `, ${more}` : ''})`;
}

describe('add_queue refuses and changes nothing:', () => {
  it.each(refusals.map((refusal) => [refusal.message, callOf(refusal), refusal] as const))(
    '%s: %s',
    async (message, call, { columns = '', allColumns, given = [], hint }) => {
      const inOrder = [
        ...given.filter((statement) => !/ app\.t\b/.test(statement)),
        `create table app.t (${allColumns ?? `id bigint primary key, due timestamptz${columns && `, ${columns}`}`})`,
        ...given.filter((statement) => / app\.t\b/.test(statement)),
      ];
      for (const statement of inOrder) await database.sql(statement);
      const state = async () => [await tableShape(database, 'app.t'), await registryShape(database)];
      const before = await state();
      await expect(database.sql(call)).rejects.toMatchObject({ message: `add_queue: ${message}`, hint });
      expect(await state()).toEqual(before);
    },
  );

  it('an enum’s word that was added in the same transaction', async () => {
    await database.sql(`create type app.state as enum (${allButCancelled})`);
    await database.sql('create table app.t (id bigint primary key, due timestamptz, status app.state)');
    await database.sql('begin');
    await database.sql(`alter type app.state add value 'cancelled'`);
    const refusal = database.sql(callOf({}));
    await refusal.catch(() => {});
    await database.sql('rollback');
    await expect(refusal).rejects.toMatchObject({
      message: enumMessage,
      hint: 'Add it in a migration of its own, before this one.',
    });
  });

  it('only for reasons that have a case here', () => {
    const folder = new URL('../../supabase/schemas/add-queue/', import.meta.url);
    const sql = readdirSync(folder)
      .map((file) => readFileSync(new URL(file, folder), 'utf8'))
      .join('');
    const templates = [...sql.matchAll(/raise exception '(add_queue: (?:[^']|'')*)'/g)].map(([, text = '']) =>
      text.replaceAll(`''`, `'`),
    );
    expect(templates.length).toBeGreaterThan(20);
    const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const messages = [enumMessage, ...refusals.map(({ message }) => `add_queue: ${message}`)];
    const untested = templates.filter((template) => {
      const pattern = new RegExp(`^${template.split('%').map(literally).join('.*')}$`, 's');
      return !messages.some((message) => pattern.test(message));
    });
    expect(untested).toEqual([]);
  });
});
