import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges } from '../support/fixtures.ts';
import { appDatabase, readQueueStats } from '../support/own-tables.ts';
import { registryShape, tableShape } from '../support/table-shape.ts';

const database = appDatabase();
const sql = perTestExchanges(database);
const table = 'app."My trials"';

beforeEach(() =>
  database.sql(
    `create table ${table} (id bigint generated always as identity primary key, next_at timestamptz, region text, priority smallint not null default 2)`,
  ),
);

const add = () =>
  database.sql(
    `select punctual.add_queue('trials', $1, 'next_at', 'at-most-once', p_partition_column => 'region')`,
    [table],
  );
async function remove(options = '') {
  const [{ answer }] = await database.sql(`select punctual.remove_queue('trials'${options}) as answer`);
  return answer;
}
/** Adds a row and its partition. Returns a tick for it. */
async function addRow() {
  await database.sql(`insert into punctual.partitions (queue, partition) values ('trials', 'eu')`);
  await database.sql(`insert into ${table} (next_at, region) values ($1, 'eu')`, [sql.at(-1)]);
  return sql.tick({ queue: 'trials', partition: 'eu' });
}
/** Adds the queue, and a row that is dead. */
async function addDeadRow() {
  await add();
  await attemptIn(await addRow(), 'dead');
}
const shapes = async () => [
  { ...(await tableShape(database, table)), grants: '' },
  await registryShape(database),
];
const leftovers = () =>
  database.sql(`select name from (select queue as name from punctual.ticks union all select queue from punctual.history
    union all select queue from punctual.receipts union all select queue from punctual.partitions) x where name = 'trials'`);

describe('a queue whose table', () => {
  const remedy = "Restore it, or remove the queue: select punctual.remove_queue('trials');";

  it.each([
    ['is gone', `drop table ${table}`, 'relation "app.My trials" does not exist'],
    ['lost a column', `alter table ${table} drop column attempts cascade, drop column priority`, 'priority'],
  ])('%s says so in the stats, and does not affect other queues', async (_, change, error) => {
    await addDeadRow();
    await sql.addDm(await sql.addAccount());
    await database.sql(change);
    const { trials, dm_queue } = await readQueueStats(database, sql.now);
    for (const text of ['app.My trials cannot be read: ', error, remedy])
      expect(trials?.problem).toContain(text);
    expect(trials?.last_tick).not.toBeNull();
    expect(dm_queue).toMatchObject({ problem: null, states: { pending: { count: 1 } } });
  });

  it('is gone says so in its ticks, lists and decisions', async () => {
    await addDeadRow();
    await database.sql(`drop table ${table}`);
    for (const call of [
      () => sql.tick({ queue: 'trials', partition: 'eu' }).claim(),
      () => database.rpc('list_due_partitions', { p_queue: 'trials' }),
      () => database.rpc('list_rows', { p_queue: 'trials', p_filter: { status: ['dead'] } }),
      () => database.rpc('explain_row', { p_queue: 'trials', p_id: '1' }),
      () => database.rpc('resolve_row', { p_queue: 'trials', p_id: '1', p_decision: 'pending' }),
    ]) {
      await expect(call()).rejects.toMatchObject({
        code: 'PT404',
        message: `the table app.My trials of the queue trials does not exist (${remedy})`,
      });
    }
  });
});

describe('remove_queue', () => {
  it('leaves only the rows of the queue, and the columns that existed before', async () => {
    const before = await shapes();
    await addDeadRow();
    await database.sql(`insert into punctual.receipts (provider, kind, status, message_id, queue, row_id, received_at)
      values ('unipile', 'status', 'sent', 'm', 'trials', '1', now())`);
    const removed = await remove(', p_drop_columns => true');
    expect(removed).toMatchObject({ queue: 'trials', table, dropped: expect.arrayContaining(['status']) });
    expect(removed.dropped).not.toContain('priority');
    expect(await shapes()).toEqual(before);
    expect(await leftovers()).toEqual([]);
    expect(await database.sql(`select region from ${table}`)).toEqual([{ region: 'eu' }]);
  });

  it('keeps the columns by default, and the table can become a queue again', async () => {
    await addDeadRow();
    expect(await remove()).toMatchObject({ dropped: [] });
    expect(await database.sql(`select status, attempts, last_error from ${table}`)).toEqual([
      { status: 'dead', attempts: 1, last_error: 'e' },
    ]);
    expect(await tableShape(database, table)).toMatchObject({ indexes: [expect.anything()], triggers: null });
    await add();
    expect(await database.sql(`select from punctual.queues where name = 'trials'`)).toHaveLength(1);
  });

  it.each([
    ['is gone', '', null],
    ['was recreated', `create table ${table} (id bigint primary key)`, table],
  ])('works if the table %s', async (_, statement, name) => {
    await addDeadRow();
    await database.sql(`drop table ${table}`);
    await database.sql(statement);
    expect(await remove(', true')).toEqual({ queue: 'trials', table: name, dropped: [] });
    expect(await leftovers()).toEqual([]);
  });

  it('is refused while a tick holds rows, and changes nothing', async () => {
    await add();
    // The lease is judged by the machine's clock.
    sql.setNow(new Date().toISOString());
    const one = await addRow();
    const { claimId: claim_id } = await one.claim(1);
    const before = await shapes();
    await expect(remove()).rejects.toMatchObject({ message: 'remove_queue: a tick holds rows of trials' });
    expect(await shapes()).toEqual(before);
    await one.settle([{ id: '1', claim_id, outcome: 'done' }], { close: true });
    await remove();
  });

  it('is refused for Punctual’s own queues, and for an unknown one', async () => {
    await expect(database.sql(`select punctual.remove_queue('dm_queue')`)).rejects.toMatchObject({
      message: "remove_queue: the table of dm_queue is Punctual's own",
    });
    await expect(remove()).rejects.toMatchObject({ code: 'PT404' });
  });

  it('is open to the owner only', async () => {
    const right = `has_function_privilege('service_role', 'punctual.remove_queue(text, boolean)', 'execute')`;
    expect(await database.sql(`select ${right} as may`)).toEqual([{ may: false }]);
  });
});
