import { describe, it } from 'vitest';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase } from '../support/own-tables.ts';
import { seed } from '../support/property.ts';
import { type Columns, type Role, runQueue } from './run-queue.ts';

/** Names that the engine's own SQL uses, and names that need quotes. */
const names = [
  ...['level', 't', 's', 'r', 'n', 'a', 'b', 'c', 'j', 'f', 'h', 'l', 'o', 'p', 'q', 'u', 'v', 'w', 'x'],
  ...[
    'account',
    'reconcile_now',
    'id2',
    'value',
    'row',
    'due',
    'pair',
    'place',
    'listed',
    'taken',
    'outcome',
  ],
  ...['asked', 'before', 'candidate', 'result', 'verdict', 'punctual', 'provider', 'held', 'waits', 'word'],
  ...['order', 'user', 'select', 'table', 'null', 'Status', 'nextAttemptAt', 'ID', 'é', ' ', 'two words'],
  ...['a"b', `it's`, 'back\\slash', '100%', '%I', '%1$s', '$1', '{x}', '{status}', '{queue}', 'a.b', '--'],
  'x'.repeat(63),
];

const database = appDatabase();
const sql = perTestExchanges(database);
const run = (columns: Columns, delivery: string) =>
  runQueue(database, sql, { columns, delivery, others: names });

/** Gives each role another name, starting with the one at `place`. */
const named = (place: number, wanted: Role[]) =>
  Object.fromEntries(wanted.map((role, i) => [role, names[(place + i * 8) % names.length]])) as Columns;

/** A third of the places, chosen by the seed. Three consecutive seeds give each role every name. */
const places = names
  .map((name, place) => [JSON.stringify(name), place] as const)
  .filter(([, place]) => place % 3 === seed % 3);

describe(`a table with arbitrary column names (SEED=${seed})`, () => {
  it.each(places)('runs its rows to each outcome and lists them in every state: due column %s', (_, place) =>
    run(
      named(place, ['due', 'partition', 'said', 'step', 'status']),
      place % 2 === 0 ? 'at-least-once' : 'at-most-once',
    ),
  );

  it.each(places)('does the same with accounts: due column %s', (_, place) =>
    run(named(place, ['due', 'account', 'pair', 'proof', 'said', 'status']), 'at-most-once'),
  );

  it.each(['at-least-once', 'at-most-once'])('does the same without partitions: %s', (delivery) =>
    run({ due: 'due' }, delivery),
  );
});
