import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { exchanges } from '../support/exchanges.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

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
  await database.sql(
    `create table app."My trials" (id bigint generated always as identity primary key, next_at timestamptz, region text, priority smallint default 2)`,
  );
  sql = exchanges(database);
});

const table = 'app."My trials"';
const add = () =>
  database.sql(
    `select punctual.add_queue('trials', $1, 'next_at', 'at-most-once', p_partition_column => 'region')`,
    [table],
  );
async function remove(options = '') {
  const [{ answer }] = await database.sql(`select punctual.remove_queue('trials'${options}) as answer`);
  return answer;
}
/** Claims one row in a tick. Returns a function that settles it. */
async function claimRow() {
  await database.sql(
    `insert into punctual.partitions (queue, partition) values ('trials', 'eu') on conflict do nothing`,
  );
  await database.sql(`insert into ${table} (next_at, region) values ($1, 'eu')`, [sql.at(-1)]);
  const one = sql.tick({ queue: 'trials', partition: 'eu' });
  const { rows, claimId } = await one.claim(1);
  const done = [{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'dead', error: 'x' }];
  return { settle: () => one.settle(done, { close: true }) };
}
const leftovers = () =>
  database.sql(`select name from (select queue as name from punctual.ticks union all select queue from punctual.history
    union all select queue from punctual.receipts union all select queue from punctual.partitions) x where name = 'trials'`);

describe('a queue whose table', () => {
  const readStats = async () => {
    const { queues } = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
    return Object.fromEntries(queues.map((queue) => [queue.name, queue]));
  };
  const remedy = "Restore it, or remove the queue: select punctual.remove_queue('trials');";

  it.each([
    ['is gone', `drop table ${table}`, 'relation "app.My trials" does not exist'],
    ['lost a column', `alter table ${table} drop column attempts cascade, drop column priority`, 'priority'],
  ])('%s says so in the stats, and does not affect other queues', async (_, change, error) => {
    await add();
    await (await claimRow()).settle();
    await sql.addDm(await sql.addAccount());
    await database.sql(change);
    const { trials, dm_queue } = await readStats();
    expect(trials?.problem).toContain('app.My trials cannot be read: ');
    expect(trials?.problem).toContain(error);
    expect(trials?.problem).toContain(remedy);
    expect(trials?.ticks).toHaveLength(1);
    expect(dm_queue).toMatchObject({ problem: null, states: { pending: { count: 1 } } });
  });

  it('is gone says so in its ticks, lists and decisions', async () => {
    await add();
    await (await claimRow()).settle();
    await database.sql(`drop table ${table}`);
    const refused = {
      code: 'PT404',
      message: `the table app.My trials of the queue trials does not exist (${remedy})`,
    };
    await expect(sql.tick({ queue: 'trials', partition: 'eu' }).claim()).rejects.toMatchObject(refused);
    for (const [name, args] of Object.entries({
      list_due_partitions: { p_queue: 'trials' },
      list_rows: { p_queue: 'trials', p_state: 'dead' },
      explain_row: { p_queue: 'trials', p_id: '1' },
      resolve_row: { p_queue: 'trials', p_id: '1', p_decision: 'pending' },
    })) {
      await expect(database.rpc(name, args)).rejects.toMatchObject(refused);
    }
  });
});

describe('remove_queue', () => {
  it('leaves only the rows of the queue, and the columns that existed before', async () => {
    const registry = await registryShape(database);
    await database.sql('alter table app."My trials" alter column priority set not null');
    const before = await tableShape(database, table);
    await add();
    await (await claimRow()).settle();
    await database.sql(`insert into punctual.receipts (provider, kind, status, message_id, queue, row_id, received_at)
      values ('unipile', 'status', 'sent', 'm', 'trials', '1', now())`);
    const removed = await remove(', p_drop_columns => true');
    expect(removed).toMatchObject({ queue: 'trials', table });
    expect(removed.dropped).toContain('status');
    expect(removed.dropped).not.toContain('priority');
    expect({ ...(await tableShape(database, table)), grants: '' }).toEqual({ ...before, grants: '' });
    expect(await registryShape(database)).toEqual(registry);
    expect(await leftovers()).toEqual([]);
    expect(await database.sql(`select region from ${table}`)).toEqual([{ region: 'eu' }]);
  });

  it('keeps the columns by default, and the table can become a queue again', async () => {
    await add();
    await (await claimRow()).settle();
    expect(await remove()).toMatchObject({ dropped: [] });
    expect(await database.sql(`select status, attempts, last_error from ${table}`)).toEqual([
      { status: 'dead', attempts: 1, last_error: 'x' },
    ]);
    expect(await database.sql(`select from pg_indexes where indexname like 'punctual_trials_%'`)).toEqual([]);
    expect(await database.sql(`select from pg_trigger where tgrelid = '${table}'::regclass`)).toEqual([]);
    await add();
    expect(await database.sql(`select name from punctual.queues where name = 'trials'`)).toHaveLength(1);
  });

  it.each([
    ['is gone', []],
    ['was recreated', [`create table ${table} (id bigint primary key)`]],
  ])('works if the table %s', async (_, statements) => {
    await add();
    await (await claimRow()).settle();
    await database.sql(`drop table ${table}`);
    for (const statement of statements) await database.sql(statement);
    expect(await remove(', true')).toEqual({
      queue: 'trials',
      table: statements.length === 0 ? null : table,
      dropped: [],
    });
    expect(await leftovers()).toEqual([]);
  });

  it('is refused while a tick holds rows, and changes nothing', async () => {
    await add();
    // The lease is judged by the machine's clock.
    sql.setNow(new Date().toISOString());
    const { settle } = await claimRow();
    const before = [await tableShape(database, table), await registryShape(database)];
    await expect(remove()).rejects.toMatchObject({ message: 'remove_queue: a tick holds rows of trials' });
    expect([await tableShape(database, table), await registryShape(database)]).toEqual(before);
    await settle();
    await remove();
  });

  it('is refused for Punctual’s own queues, and for an unknown one', async () => {
    await expect(database.sql(`select punctual.remove_queue('dm_queue')`)).rejects.toMatchObject({
      message: "remove_queue: the table of dm_queue is Punctual's own",
    });
    await expect(remove()).rejects.toMatchObject({ code: 'PT404' });
  });

  it('is open to the owner only', async () => {
    expect(
      await database.sql(
        `select has_function_privilege('service_role', 'punctual.remove_queue(text, boolean)', 'execute') as may`,
      ),
    ).toEqual([{ may: false }]);
  });
});
