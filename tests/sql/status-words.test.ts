import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase, insertRow } from '../support/own-tables.ts';
import { assertProperty, runs } from '../support/property.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';

const database = appDatabase();
const sql = perTestExchanges(database);

const states = ['pending', 'running', 'done', 'dead', 'unknown', 'cancelled'];
const pool = [
  ...['pending', 'running', 'done', 'dead', 'unknown', 'cancelled', 'active', 'Done', 'in progress'],
  ...[`won't`, '100%', '%I $1', 'a\\b', 'äöü 👋', '"quoted"', 'null', '$$', 'x'.repeat(40)],
];
const literal = (word: string) => `'${word.replaceAll(`'`, `''`)}'`;

/** The type of the status column, with its checks, and the type to create first. */
const types: Record<string, (taken: string[]) => [type: string, create?: string]> = {
  check: (taken) => [`text check (status in (${taken}))`],
  'two checks': (taken) => [`text check (status = any (array[${taken}])) check (length(status) > 0)`],
  'negated check': (taken) => [`varchar(50) check (not (status <> all (array[${taken}])))`],
  enum: (taken) => ['app.word', `create type app.word as enum (${taken})`],
  domain: (taken) => ['app.word', `create domain app.word as text check (value in (${taken}))`],
};

const world = fc.record({
  kind: fc.constantFrom(...Object.keys(types)),
  chosen: fc.oneof(
    { weight: 4, arbitrary: fc.uniqueArray(fc.constantFrom(...pool), { minLength: 6, maxLength: 6 }) },
    { weight: 1, arbitrary: fc.array(fc.constantFrom(...pool, ''), { minLength: 6, maxLength: 6 }) },
  ),
  more: fc.uniqueArray(fc.constantFrom(...pool), { maxLength: 4 }),
  missing: fc.oneof(
    { weight: 3, arbitrary: fc.constant<number[]>([]) },
    { weight: 2, arbitrary: fc.subarray<number>([0, 1, 2, 3, 4, 5]) },
  ),
  /** The states that the call does not map to a word. */
  unmapped: fc.oneof(
    { weight: 3, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.subarray(states) },
  ),
  delivery: fc.constantFrom('at-most-once', 'at-least-once'),
});

describe('any list of words that a status column allows', () => {
  it('is accepted exactly if it has the six words and they are distinct, and a refusal changes nothing', async () => {
    const seen = { accepted: 0, refused: 0 };
    const property = fc.asyncProperty(world, async ({ kind, chosen, more, missing, unmapped, delivery }) => {
      const mapped = Object.fromEntries(
        states
          .map((state, i) => [state, chosen[i] ?? ''])
          .filter(([state = '']) => !unmapped.includes(state)),
      );
      const wanted = states.map((state) => mapped[state] ?? state);
      const taken = [...new Set([...chosen.filter((_, i) => !missing.includes(i)), ...more, 'other'])];
      const isValid =
        new Set(wanted).size === 6 && wanted.every((word) => word !== '' && taken.includes(word));

      await database.sql(`delete from punctual.queues where name = 'words'`);
      await database.sql('drop schema app cascade');
      await database.sql('create schema app');
      const [type, create] = types[kind]?.(taken.filter((word) => word !== '').map(literal)) ?? [];
      if (create) await database.sql(create);
      await database.sql(
        `create table app.t (id uuid primary key default gen_random_uuid(), due timestamptz, status ${type})`,
      );
      await insertRow(database, 'app.t', { due: sql.now, status: 'other' });
      const shapes = async () => [await tableShape(database, 'app.t'), await registryShape(database)];
      const before = await shapes();
      const call = database.sql(`select punctual.add_queue('words', 'app.t', 'due', $1, $2::jsonb)`, [
        delivery,
        JSON.stringify(mapped),
      ]);
      if (!isValid) {
        seen.refused++;
        const message = expect.stringMatching(/^add_queue: /);
        await expect(call).rejects.toMatchObject({ code: '22023', message });
        expect(await shapes()).toEqual(before);
        return;
      }
      seen.accepted++;
      await call;
      for (const outcome of ['done', 'dead', 'unknown', 'again']) {
        const id = await insertRow(database, 'app.t', { due: sql.at(-1), status: wanted[0] });
        const one = sql.tick({ queue: 'words' });
        const { rows, claimId } = await one.claim();
        expect(rows).toMatchObject([{ id, row: { status: wanted[1] } }]);
        const record = { id, claim_id: claimId, outcome, error: 'e', delay_seconds: 60 };
        await one.settle([record], { close: true });
        const state = outcome === 'again' ? 'pending' : outcome;
        expect(await database.sql('select status from app.t where id = $1', [id])).toEqual([
          { status: wanted[states.indexOf(state)] },
        ]);
      }
    });
    await assertProperty(property, { numRuns: runs({ quick: 60, all: 60, real: 20 }) });
    expect(Math.min(seen.accepted, seen.refused)).toBeGreaterThan(1);
  });
});
