import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges, finding } from '../support/exchanges.ts';
import { seed } from '../support/property.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

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
  ...[
    'a"b',
    `it's`,
    'back\\slash',
    '100%',
    '%I',
    '%1$s',
    '$1',
    '{x}',
    '{status}',
    '{queue}',
    'a.b',
    '--',
    'x'.repeat(63),
  ],
];
/** The roles that a column may have in the queue. */
const roles = ['due', 'partition', 'account', 'pair', 'proof', 'said', 'step', 'status'] as const;

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.sql('drop schema if exists app cascade');
  await database.reset();
  await database.sql('create schema app');
  sql = exchanges(database);
});

const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string) => `'${text.replaceAll(`'`, `''`)}'`;
const types = {
  due: 'timestamptz',
  partition: 'text',
  account: 'uuid references punctual.accounts',
  status: `text default 'pending'`,
};

/** Creates `app.x` and its queue. Names without a role become columns of the table's own, which are 7 in each row. Returns them. */
async function makeQueue(columns: Partial<Record<(typeof roles)[number], string>>, delivery: string) {
  const taken = Object.entries(columns).map(([role, name]) => {
    const type = types[role as keyof typeof types] ?? (role === 'said' || role === 'step' ? 'jsonb' : 'text');
    return `${identifier(name)} ${type}`;
  });
  // If another column has the state, `status` is an ordinary column.
  const others = columns.status === undefined ? names : [...names, 'status'];
  const own = others.filter((name) => !Object.values(columns).includes(name));
  await database.sql(
    `create table app.x (id bigint generated always as identity primary key,
       ${[...taken, ...own.map((name) => `${identifier(name)} smallint not null default 7`)]})`,
  );
  const results = [columns.proof, columns.said].filter((name) => name !== undefined);
  const named = (call: string, name: string | undefined) =>
    name === undefined ? '' : `, ${call} => ${literal(name)}`;
  await database.sql(
    `select punctual.add_queue('x', 'app.x', ${literal(columns.due ?? '')}, '${delivery}',
       p_result_columns => array[${results.map(literal)}]::text[]${[
         named('p_partition_column', columns.partition),
         named('p_account_column', columns.account),
         named('p_pair_column', columns.pair),
         named('p_proof_column', columns.proof),
         named('p_progress_column', columns.step),
         named('p_status_column', columns.status),
       ].join('')})`,
  );
  if (columns.partition !== undefined) {
    await database.sql(`insert into punctual.partitions (queue, partition) values ('x', 'east')`);
  }
  return own;
}

/** Gives a row each of the outcomes, and reads the rows in every way meanwhile. */
async function runQueue(columns: Partial<Record<(typeof roles)[number], string>>, delivery: string) {
  const own = await makeQueue(columns, delivery);
  const partition = columns.partition === undefined ? 'main' : 'east';
  const tick = (more = {}) => sql.tick({ queue: 'x', partition, ...more });
  const outcomes = ['retry', 'dead', 'again', 'release', delivery === 'at-most-once' ? 'unknown' : 'done'];
  const rowIds: string[] = [];
  for (let n = 0; n < outcomes.length + 3; n++) {
    const row: Record<string, unknown> = { [columns.due ?? '']: sql.at(-60) };
    if (columns.partition !== undefined) row[columns.partition] = 'east';
    if (columns.account !== undefined) row[columns.account] = await sql.addAccount();
    if (columns.pair !== undefined) row[columns.pair] = `person ${n}`;
    const [{ id }] = await database.sql(
      `insert into app.x (${Object.keys(row).map(identifier)}) values (${Object.keys(row).map((_, i) => `$${i + 1}`)}) returning id`,
      Object.values(row),
    );
    rowIds.push(String(id));
  }
  const call = (more: object) => ({ p_queue: 'x', p_now: sql.now, ...more });
  const expectStates = async (expected: Record<string, number>) => {
    for (const state of ['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']) {
      const { items: rows } = (await database.rpc('list_rows', call({ p_state: state, p_limit: 200 }))) as {
        items: { id: string; row: Record<string, unknown> }[];
      };
      expect([state, rows.length]).toEqual([state, expected[state] ?? 0]);
      for (const { id, row } of rows) {
        expect(row).toMatchObject(Object.fromEntries(own.map((name) => [name, 7])));
        const explanation = (await database.rpc(
          'explain_row',
          call({ p_id: id, p_configured: ['unipile'] }),
        )) as object;
        expect(explanation).toMatchObject({ id, status: state });
      }
    }
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; states: Record<string, { count: number }>; unreachable: object[] }[];
    };
    const stats = queues.find((queue) => queue.name === 'x');
    expect(stats?.unreachable).toEqual([]);
    for (const [state, count] of Object.entries(expected)) expect(stats?.states[state]?.count).toBe(count);
    return (await database.rpc('list_due_partitions', { p_queue: 'x', p_now: sql.now })) as {
      partition: string;
      due_seconds: number;
    }[];
  };

  expect(await expectStates({ pending: rowIds.length })).toMatchObject([{ partition, due_seconds: 60 }]);
  await database.rpc('resolve_row', call({ p_id: rowIds.at(-1), p_decision: 'cancelled', p_by: 'Ann' }));
  const one = tick();
  const { rows, claimId } = await one.claim();
  expect(rows.map(({ row }) => row)).toHaveLength(outcomes.length + 2);
  expect(rows[0]?.row).toMatchObject(Object.fromEntries(own.map((name) => [name, 7])));
  expect((await one.claim(100, 1)).rows).toHaveLength(rows.length);
  const [first, unsettled, ...others] = rows.map(({ id }) => id);
  const result = Object.fromEntries([columns.proof, columns.said].map((name) => [name, 'id of it']));
  const records = others.map((id, i) => {
    const account_id = rows.find((row) => row.id === id)?.account?.id;
    const record = { id, claim_id: claimId, outcome: outcomes[i] ?? '', error: 'e', delay_seconds: 40 };
    return { ...record, account_id, ...(outcomes[i] === 'again' ? { result: { ...result } } : {}) };
  });
  const progress = [{ id: unsettled, claim_id: claimId, progress: { at: 5 } }];
  const reply = await one.exchange({
    outcomes: { done: [{ claim_id: claimId, ids: [first] }], records, progress },
    close: true,
  });
  expect(reply.settled).toMatchObject({ retried: 1, dead: 1, again: 1, released: 1, lost: 0 });
  const done: Record<string, number> = delivery === 'at-most-once' ? { done: 1, unknown: 1 } : { done: 2 };
  expect(await expectStates({ ...done, pending: 3, running: 1, dead: 1, cancelled: 1 })).toMatchObject([
    { partition },
  ]);
  if (columns.step !== undefined) {
    const [{ step }] = await database.sql(
      `select ${identifier(columns.step)} as step from app.x where id = $1`,
      [unsettled],
    );
    expect(step).toEqual({ at: 5 });
  }
  if (columns.said !== undefined) {
    const kept = await database.sql(
      `select ${identifier(columns.said)} as said from app.x where ${identifier(columns.said)} is not null`,
    );
    expect(kept).toEqual([{ said: 'id of it' }]);
  }

  sql.pass(91);
  if (delivery === 'at-most-once') {
    const taken = await sql.takeUnknown({ queue: 'x' });
    expect(taken).toHaveLength(1);
    const findings = taken.map((found) => finding(found));
    expect(await sql.settleFindings(findings, 'x')).toMatchObject({ checked: 1 });
  }
  const sweeping = tick();
  const { swept, rows: more, claimId: claim } = await sweeping.claim(1);
  expect([swept, more.length]).toEqual([1, 1]);
  await sweeping.settle(
    [{ id: more[0]?.id ?? '', claim_id: claim, outcome: 'retry', error: 'e', delay_seconds: 1 }],
    {
      close: true,
    },
  );
  if (columns.account === undefined) {
    const retried = await tick({ asked_for: 'dead', asked_limit: 1 }).claim(1);
    expect(retried.rows.map(({ id }) => id)).toEqual([others[outcomes.indexOf('dead')]]);
    await database.sql(`update punctual.partitions set max_running = 1 where queue = 'x'`);
    const limited = tick();
    expect((await limited.claim(1)).rows).toEqual([]);
    await limited.close();
    sql.pass(200);
    const blocking = tick();
    const claimed = await blocking.claim(9);
    expect(claimed.rows).toHaveLength(1);
    await blocking.settle(
      [
        {
          id: claimed.rows[0]?.id ?? '',
          claim_id: claimed.claimId,
          outcome: 'retry',
          error: 'e',
          delay_seconds: 9,
        },
      ],
      { close: true },
    );
    expect(await database.rpc('list_due_partitions', { p_queue: 'x', p_now: sql.now })).toMatchObject([
      { due_seconds: null },
    ]);
    await database.rpc('read_stats', { p_now: sql.now });
  }
  await database.sql(`update punctual.queues set retention_days = 1 where name = 'x'`);
  sql.pass(86_400 * 2);
  expect((await sql.rollUp()).filter(({ problem }) => problem)).toEqual([]);
  await database.rpc('prune', { p_now: sql.now });
  expect(
    await database.sql(
      `select from app.x where ${identifier(columns.status ?? 'status')} in ('done', 'dead', 'cancelled')`,
    ),
  ).toEqual([]);
}

/** Gives each role another name, starting with the one at `place`. */
const named = (place: number, wanted: readonly (typeof roles)[number][]) =>
  Object.fromEntries(wanted.map((role, i) => [role, names[(place + i * 8) % names.length] ?? '']));

/** A third of the places, chosen by the seed. Three consecutive seeds give each role every name. */
const places = names
  .map((name, place) => [JSON.stringify(name), place] as const)
  .filter(([, place]) => place % 3 === seed % 3);

describe(`a table with arbitrary column names (SEED=${seed})`, () => {
  it.each(places)('runs its rows to each outcome and lists them in every state: due column %s', (_, place) =>
    runQueue(
      named(place, ['due', 'partition', 'said', 'step', 'status']),
      place % 2 === 0 ? 'at-least-once' : 'at-most-once',
    ),
  );

  it.each(places)('does the same with accounts: due column %s', (_, place) =>
    runQueue(named(place, ['due', 'account', 'pair', 'proof', 'said', 'status']), 'at-most-once'),
  );

  it.each(['at-least-once', 'at-most-once'])('does the same without partitions: %s', (delivery) =>
    runQueue({ due: 'due' }, delivery),
  );
});
