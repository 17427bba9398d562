import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { statsSchema } from '../../lib/store/stats.ts';
import { exchanges, finding } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

const words = {
  pending: 'open',
  running: 'reminding',
  done: 'reminded',
  dead: 'failed',
  unknown: 'unclear',
  cancelled: 'void',
};

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
    `create type app.state as enum ('draft', 'open', 'reminding', 'reminded', 'failed', 'unclear', 'void')`,
  );
  sql = exchanges(database);
});

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Registers a table of invoices whose state is in `column`. Its column `status` holds something else. */
async function invoices(column: string, type: string, more = '', call = '') {
  await database.sql(`create table app.invoices (id bigint generated always as identity primary key, remind_at timestamptz,
    ${quoted(column)} ${type} not null default 'open', status smallint not null default 7${more})`);
  const add = async (changes: Record<string, unknown> = {}) => {
    const row = { remind_at: sql.at(-60), ...changes };
    const [{ id }] = await database.sql(
      `insert into app.invoices (${Object.keys(row).map(quoted)}) values (${Object.keys(row).map((_, i) => `$${i + 1}`)}) returning id::text`,
      Object.values(row),
    );
    return String(id);
  };
  const old = [await add({ [column]: 'void' }), await add({ [column]: 'reminded' })];
  const [{ answer: registered }] = await database.sql(
    `select punctual.add_queue('invoices', 'app.invoices', 'remind_at', 'at-most-once', $1, p_status_column => $2${call}) as answer`,
    [JSON.stringify(words), column],
  );
  return {
    registered,
    old,
    add,
    tick: (changes = {}) => sql.tick({ queue: 'invoices', ...changes }),
    state: async (id: string) => {
      const [row] = await database.sql(
        `select ${quoted(column)} as state, status from app.invoices where id = $1`,
        [id],
      );
      expect(row?.status ?? 7).toBe(7);
      return row?.state;
    },
    set: (id: string, state: string) =>
      database.sql(`update app.invoices set ${quoted(column)} = $1 where id = $2`, [state, id]),
  };
}
const call = (more: object) => ({ p_queue: 'invoices', p_now: sql.now, ...more });

it.each([
  ['state', 'text'],
  ['State of it', 'app.state'],
  [`100% "it's" {status}`, 'varchar(9)'],
])('a queue with its state in a column %s (%s) supports every step', async (column, type) => {
  const { registered, old, add, tick, state, set } = await invoices(column, type);
  expect(registered.added).not.toContain('status');
  const expired = await add({ expires_at: sql.at(-1) });
  const outcomes = ['done', 'retry', 'dead', 'unknown', 'again', 'release'];
  for (let n = 0; n <= outcomes.length; n++) await add();

  const one = tick();
  const { rows, claimId } = await one.claim();
  const ids = rows.map(({ id }) => id);
  expect(ids).toHaveLength(outcomes.length + 1);
  expect(rows[0]?.row).toMatchObject({ [column]: 'reminding', status: 7 });
  const records = outcomes.map((outcome, i) => {
    const id = ids[i] ?? '';
    return { id, claim_id: claimId, outcome, error: 'e', delay_seconds: 600 };
  });
  await one.settle(records, { close: true });
  const [done, retry, dead, unknown, again, released, running] = ids as [string, ...string[]];
  const states = async () =>
    Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await state(id)])));
  expect(await states()).toEqual({
    [done]: 'reminded',
    [retry ?? '']: 'open',
    [dead ?? '']: 'failed',
    [unknown ?? '']: 'unclear',
    [again ?? '']: 'open',
    [released ?? '']: 'open',
    [running ?? '']: 'reminding',
  });
  expect(await state(expired)).toBe('failed');

  // The dashboard's counts and lists.
  const { queues } = statsSchema.parse(await database.rpc('read_stats', { p_now: sql.now }));
  const figures = queues.find(({ name }) => name === 'invoices');
  expect(figures).toMatchObject({ problem: null, unreachable: [], due_now: { count: 1 } });
  const counts = Object.entries(figures?.states ?? {}).map(([name, { count }]) => [name, count]);
  expect(Object.fromEntries(counts)).toEqual({
    ...{ pending: 3, running: 1, done: 2, dead: 2, unknown: 1, cancelled: 1 },
  });
  for (const [name, count] of counts) {
    const { items: listed } = (await database.rpc('list_rows', call({ p_state: name }))) as {
      items: { id: string; status: string }[];
    };
    expect(listed).toHaveLength(Number(count));
    const [first] = listed;
    expect(first?.status).toBe(words[name as keyof typeof words]);
    expect(await database.rpc('explain_row', call({ p_id: first?.id }))).toMatchObject({
      status: first?.status,
      state: name,
    });
  }

  // A tick dies. A check, a receipt and an operator then settle its row and the unknown one.
  sql.pass(100);
  const two = tick();
  expect(await two.claim(1)).toMatchObject({ swept: 1, rows: [{ id: released }] });
  await two.close();
  expect(await state(running ?? '')).toBe('unclear');
  sql.pass(31);
  const checks = await sql.takeUnknown({ queue: 'invoices' });
  expect(checks.map(({ id }) => id).sort()).toEqual([unknown, running].sort());
  const checkOf = (id: string | undefined) => {
    const check = checks.find((one) => one.id === id);
    if (!check) throw new Error('the row was not taken for a check');
    return check;
  };
  await sql.settleFindings([finding(checkOf(running), { absent_after_seconds: 0 })], 'invoices');
  expect(await state(running ?? '')).toBe('open');
  await sql.receive([
    {
      kind: 'status',
      status: 'delivered',
      message_id: 'm1',
      reference: `invoices/${unknown}/${claimId}`,
    },
  ]);
  await sql.takeUnknown({ queue: 'invoices' });
  expect(await state(unknown ?? '')).toBe('reminded');
  await database.rpc('resolve_row', call({ p_id: running, p_decision: 'cancelled' }));
  expect(await state(running ?? '')).toBe('void');

  // A redrive of one dead row.
  const redrive = tick({ asked_for: 'dead', asked_limit: 1 });
  const redriven = await redrive.claim(1);
  expect(redriven.rows).toMatchObject([{ id: expect.toBeOneOf([dead, expired]) }]);
  await redrive.settle(
    [{ id: redriven.rows[0]?.id ?? '', claim_id: redriven.claimId, outcome: 'unknown', error: 'e' }],
    { close: true },
  );
  await database.rpc('resolve_row', call({ p_id: redriven.rows[0]?.id, p_decision: 'done' }));

  // Changes by plain SQL.
  const finished = `select finished_at is not null as ended from app.invoices where id = $1`;
  await set(again ?? '', 'void');
  expect(await database.sql(finished, [again])).toEqual([{ ended: true }]);
  await set(again ?? '', 'open');
  expect(await database.sql(finished, [again])).toEqual([{ ended: false }]);

  await set(again ?? '', 'draft');
  await expect(database.rpc('explain_row', call({ p_id: again }))).rejects.toMatchObject({
    code: 'PT409',
    message: expect.stringContaining('is draft, which is no word of invoices'),
  });
  await set(again ?? '', 'open');

  // The daily roll-up and retention.
  await database.sql(`update punctual.queues set retention_days = 1 where name = 'invoices'`);
  sql.pass(3 * 86_400);
  expect((await sql.rollUp()).filter(({ problem }) => problem)).toEqual([]);
  expect(
    await database.sql(
      `select outcome, sum(rows)::integer as rows from punctual.daily_outcomes where queue = 'invoices' and is_total group by 1 order by 1`,
    ),
  ).toEqual([
    { outcome: 'cancelled', rows: 1 },
    { outcome: 'dead', rows: 1 },
    { outcome: 'done', rows: 3 },
  ]);
  expect(await database.rpc('prune', { p_now: sql.now })).toMatchObject({ problems: [], rows: 5 });

  // After a restore, a row that may have been sent since is unknown.
  await database.sql('select punctual.after_restore($1, $2)', [sql.at(-60), sql.now]);
  expect(await state(retry ?? '')).toBe('unclear');

  // Rows from before the registration are unchanged.
  expect(await Promise.all(old.map(state))).toEqual(['void', 'reminded']);
  await database.sql(`select punctual.remove_queue('invoices', true)`);
  expect(await Promise.all(old.map(state))).toEqual(['void', 'reminded']);
});

it('an account’s rows go in order, and wait for a retry until an operator cancels it by SQL', async () => {
  // Changes by plain SQL take the machine's time.
  sql.setNow(new Date().toISOString());
  const account = await sql.addAccount();
  const { add, tick, state, set } = await invoices(
    'state',
    'text',
    ', account uuid references punctual.accounts, person text',
    `, p_account_column => 'account', p_pair_column => 'person'`,
  );
  const first = await add({ account, person: 'Ada', remind_at: sql.at(-90) });
  const second = await add({ account, person: 'Bob' });
  const one = tick();
  const { rows, claimId } = await one.claim();
  expect(rows.map(({ id }) => id)).toEqual([first]);
  await one.settle(
    [{ id: first, claim_id: claimId, outcome: 'retry', error: 'e', delay_seconds: 600, account_id: account }],
    { close: true },
  );
  expect(await database.rpc('explain_row', call({ p_id: second }))).toMatchObject({
    ahead: { ids: [first] },
  });
  const waiting = tick();
  expect((await waiting.claim()).rows).toEqual([]);
  await waiting.close();
  await set(first, 'void');
  sql.pass(1);
  const two = tick();
  const next = await two.claim();
  expect(next.rows.map(({ id }) => id)).toEqual([second]);
  await two.settle([{ id: second, claim_id: next.claimId, outcome: 'done', account_id: account }], {
    close: true,
  });
  expect(await state(second)).toBe('reminded');
});

it('add_queue refuses a status column that is missing or has another role already', async () => {
  await database.sql('create table app.invoices (id bigint primary key, remind_at timestamptz, note text)');
  const add = (column: string, more = '') =>
    database.sql(
      `select punctual.add_queue('invoices', 'app.invoices', 'remind_at', 'at-least-once', p_status_column => '${column}'${more})`,
    );
  await expect(add('stat')).rejects.toThrow('the status column stat of app.invoices is missing');
  await expect(add('note', `, p_result_columns => '{note}'`)).rejects.toThrow(
    'the column note has another role already',
  );
  await expect(add('remind_at')).rejects.toThrow('the column remind_at has another role already');
});
