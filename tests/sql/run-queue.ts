import { expect } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { type exchanges, finding } from '../support/exchanges.ts';
import { insertRow, quoted, readQueueStats } from '../support/own-tables.ts';
import type { TestDatabase } from '../support/test-database.ts';

/** The roles that a column of `app.x` may have in the queue, each with its type. */
const roles = {
  due: 'timestamptz',
  partition: 'text',
  account: 'uuid references punctual.accounts',
  pair: 'text',
  proof: 'text',
  said: 'jsonb',
  step: 'jsonb',
  status: 'text',
};
export type Role = keyof typeof roles;
export type Columns = Partial<Record<Role, string>> & { due: string };

const words: Record<string, string> = {
  ...{ pending: 'open', running: 'reminding', done: 'reminded' },
  ...{ dead: 'failed', unknown: 'unclear', cancelled: 'void' },
};
const literal = (text: string) => `'${text.replaceAll(`'`, `''`)}'`;

export interface OwnQueue {
  columns: Columns;
  delivery?: string;
  /** The type of the status column. */
  type?: string;
  /** Columns of the table's own, if no role has the name. */
  others?: string[];
}

/**
 * Creates `app.x` and its queue `x`. If a column has the role `status`, it has other words than the default, and the column `status` is the
 * table's own. Returns a row of the table's own columns, which are 7 in each row.
 */
export async function makeQueue(
  database: TestDatabase,
  { columns, delivery = 'at-most-once', type = 'text', others = [] }: OwnQueue,
): Promise<Record<string, number>> {
  const own = [...others, ...(columns.status === undefined ? [] : ['status'])].filter(
    (name) => !Object.values(columns).includes(name),
  );
  const types = { ...roles, status: `${type} not null default 'open'` };
  await database.sql(`create type app.state as enum (${['draft', ...Object.values(words)].map(literal)})`);
  await database.sql(
    `create table app.x (id bigint generated always as identity primary key, ${[
      ...Object.entries(columns).map(([role, name]) => `${quoted(name)} ${types[role as Role]}`),
      ...own.map((name) => `${quoted(name)} smallint not null default 7`),
    ]})`,
  );
  const results = [columns.proof, columns.said].filter((name) => name !== undefined).map(literal);
  const parameters = {
    ...{ p_words: columns.status && JSON.stringify(words), p_status_column: columns.status },
    ...{ p_partition_column: columns.partition, p_account_column: columns.account },
    ...{ p_pair_column: columns.pair, p_proof_column: columns.proof, p_progress_column: columns.step },
  };
  const named = Object.entries(parameters).flatMap(([parameter, value]) =>
    value === undefined ? [] : `, ${parameter} => ${literal(value)}`,
  );
  await database.sql(
    `select punctual.add_queue('x', 'app.x', ${literal(columns.due)}, '${delivery}', p_result_columns => array[${results}]::text[]${named.join('')})`,
  );
  if (columns.partition !== undefined)
    await database.sql(`insert into punctual.partitions (queue, partition) values ('x', 'east')`);
  return Object.fromEntries(own.map((name) => [name, 7]));
}

/** Makes a queue, takes its rows through each step that a row may have, and reads them in every way meanwhile. */
export async function runQueue(database: TestDatabase, sql: ReturnType<typeof exchanges>, queue: OwnQueue) {
  const own = await makeQueue(database, queue);
  const { columns, delivery = 'at-most-once' } = queue;
  const isUncertain = delivery === 'at-most-once';
  const status = columns.status ?? 'status';
  const wordOf = (state: string) => (columns.status === undefined ? state : words[state]);
  const partition = columns.partition === undefined ? 'main' : 'east';
  const tick = (more = {}) => sql.tick({ queue: 'x', partition, ...more });
  const call = (fn: string, more = {}) => database.rpc(fn, { p_queue: 'x', p_now: sql.now, ...more });
  const resolve = (p_id: string | null | undefined, p_decision: string) =>
    call('resolve_row', { p_id, p_decision, p_by: 'Ann' });
  const valuesOf = async (column: string) =>
    (
      await database.sql(`select ${quoted(column)} as value from app.x where ${quoted(column)} is not null`)
    ).map(({ value }) => value);
  const addRow = async (more: object = {}) => {
    const row: Record<string, unknown> = { [columns.due]: sql.at(-60), ...more };
    if (columns.partition !== undefined) row[columns.partition] = partition;
    if (columns.account !== undefined) row[columns.account] = await sql.addAccount();
    if (columns.pair !== undefined) row[columns.pair] = crypto.randomUUID();
    return insertRow(database, 'app.x', row);
  };
  /** Compares the counts of the lists and the stats, and explains a row of each state. */
  const expectStates = async (expected: Record<string, number>) => {
    const { x } = await readQueueStats(database, sql.now);
    expect(x).toMatchObject({ problem: null, unreachable: [] });
    for (const state of ['pending', 'running', 'done', 'dead', 'unknown', 'cancelled']) {
      const count = expected[state] ?? 0;
      expect(x?.states).toMatchObject({ [state]: { count } });
      const { items } = (await call('list_rows', { p_filter: { status: [state] }, p_limit: 200 })) as {
        items: { id: string }[];
      };
      const row = { ...own, [status]: wordOf(state) };
      expect([state, items]).toMatchObject([state, Array(count).fill({ status: wordOf(state), row })]);
      if (!items[0]) continue;
      const explained = await call('explain_row', { p_id: items[0].id, p_configured: ['unipile'] });
      expect(explained).toMatchObject({ id: items[0].id, status: wordOf(state), state });
    }
    expect(await call('list_due_partitions')).toMatchObject([{ partition }]);
  };

  const outcomes = ['retry', 'dead', 'again', 'release', isUncertain ? 'unknown' : 'done'];
  for (let n = 0; n < outcomes.length + 2; n++) await addRow();
  await addRow({ expires_at: sql.at(-1) });
  const cancelled = await addRow();
  await expectStates({ pending: outcomes.length + 4 });
  await resolve(cancelled, 'cancelled');

  const one = tick();
  const { rows, claimId: claim_id } = await one.claim();
  const running = { row: { ...own, [status]: wordOf('running') } };
  expect(rows).toMatchObject(Array(outcomes.length + 2).fill(running));
  expect((await one.claim(100, 1)).rows).toHaveLength(rows.length);
  const [first, unsettled, ...others] = rows.map(({ id }) => id);
  const result = Object.fromEntries([columns.proof, columns.said].map((name) => [name, 'id of it']));
  const records = rows.slice(2).map(({ id, account }, i) => {
    const outcome = outcomes[i] ?? '';
    const record = { id, claim_id, outcome, error: 'e', delay_seconds: 40, account_id: account?.id };
    return outcome === 'again' ? { ...record, result } : record;
  });
  const progress = [{ id: unsettled, claim_id, progress: { at: 5 } }];
  const done = [{ claim_id, ids: [first] }];
  const { settled } = await one.exchange({ outcomes: { done, records, progress }, close: true });
  expect(settled).toMatchObject({ retried: 1, dead: 1, again: 1, released: 1, lost: 0 });
  const certain: Record<string, number> = isUncertain ? { done: 1, unknown: 1 } : { done: 2 };
  await expectStates({ ...certain, pending: 3, running: 1, dead: 2, cancelled: 1 });
  if (columns.step) expect(await valuesOf(columns.step)).toEqual([{ at: 5 }]);
  if (columns.said) expect(await valuesOf(columns.said)).toEqual(['id of it']);
  const [retried, dead, again, , unknown] = others;

  // A tick dies. A check, a receipt and an operator then settle its row and the unknown one.
  sql.pass(100);
  const two = tick();
  const next = await two.claim(1);
  expect([next.swept, next.rows.length]).toEqual([1, 1]);
  const retry = { claim_id: next.claimId, outcome: 'retry', error: 'e', delay_seconds: 40 };
  await two.settle([{ id: next.rows[0]?.id ?? '', ...retry }], { close: true });
  if (isUncertain) {
    sql.pass(31);
    const checks = await sql.takeUnknown({ queue: 'x' });
    expect(checks.map(({ id }) => id).sort()).toEqual([unknown, unsettled].sort());
    const absent = checks.filter(({ id }) => id === unsettled);
    await sql.settleFindings(
      absent.map((row) => finding(row, { absent_after_seconds: 0 })),
      'x',
    );
    const reference = `x/${unknown}/${claim_id}`;
    await sql.receive([{ kind: 'status', status: 'delivered', message_id: 'm1', reference }], 'unipile');
    await sql.takeUnknown({ queue: 'x' });
  }
  await expectStates({ done: 2, pending: 4, dead: 2, cancelled: 1 });
  await resolve(unsettled, 'cancelled');

  if (columns.account === undefined) {
    expect(await attemptIn(tick({ asked_for: 'dead', asked_limit: 1 }), 'unknown')).toBe(dead);
    await resolve(dead, 'done');
    await database.sql(`update punctual.partitions set max_running = 1 where queue = 'x'`);
    expect(await attemptIn(tick(), 'retry', { delay_seconds: 9 })).not.toBeNull();
    expect(await attemptIn(tick())).toBeNull();
    expect(await call('list_due_partitions')).toMatchObject([{ due_seconds: null }]);
    expect((await readQueueStats(database, sql.now)).x?.problem).toBeNull();
  }

  // Changes by plain SQL.
  for (const state of ['cancelled', 'pending']) {
    const change = `update app.x set ${quoted(status)} = $1 where id = $2 returning finished_at is not null as ended`;
    expect(await database.sql(change, [wordOf(state), again])).toEqual([{ ended: state === 'cancelled' }]);
  }

  // The daily roll-up and retention.
  await database.sql(`update punctual.queues set retention_days = 1 where name = 'x'`);
  sql.pass(2 * 86_400);
  expect((await sql.rollUp()).filter(({ problem }) => problem)).toEqual([]);
  const redriven = columns.account === undefined ? 1 : 0;
  expect(
    await database.sql(
      `select outcome, sum(rows) as rows from punctual.daily_outcomes where queue = 'x' and is_total group by 1 order by 1`,
    ),
  ).toEqual([
    { outcome: 'cancelled', rows: 2 },
    { outcome: 'dead', rows: 2 - redriven },
    { outcome: 'done', rows: 2 + redriven },
  ]);
  expect(await database.rpc('prune', { p_now: sql.now })).toMatchObject({ problems: [], rows: 6 });
  await expectStates({ pending: 3 });

  // After a restore, a row that may have been sent since is unknown.
  await database.sql('select punctual.after_restore($1, $2)', [sql.at(-60), sql.now]);
  const [{ state }] = await database.sql(`select ${quoted(status)} as state from app.x where id = $1`, [
    retried,
  ]);
  expect(state).toBe(wordOf(isUncertain ? 'unknown' : 'pending'));
}
