import { beforeEach, describe, expect, it } from 'vitest';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
const tasks = perTest(() => makeTasks(database));
let account: string;

beforeEach(async () => {
  account = await sql.addAccount();
});

const list = async (p_filter: object, more: object = {}): Promise<string[]> => {
  const call = { p_queue: 'dm_queue', p_filter, p_now: sql.now, ...more };
  const { items } = (await database.rpc('list_rows', call)) as { items: { id: string }[] };
  return items.map(({ id }) => id);
};
const count = (p_filter: object, p_queue = 'dm_queue') =>
  database.rpc('count_matching', { p_queue, p_filter, p_now: sql.now });

describe('filters of rows', () => {
  const failed = (more: object = {}) =>
    sql.addDm(account, {
      status: 'failed',
      last_error: 'unipile 422: no such person',
      finished_at: sql.now,
      ...more,
    });

  it('take several states, running and pending before settled ones', async () => {
    const done = await sql.addDm(account, { status: 'sent', finished_at: sql.now });
    const dead = await failed({ finished_at: sql.at(-5) });
    const due = await sql.addDm(account);
    const running = await sql.addDm(account, { status: 'sending', lease_expires_at: sql.at(60) });
    await sql.addDm(account, { status: 'cancelled', finished_at: sql.now });
    expect(await list({ status: ['sent', 'dead', 'pending', 'sending'] })).toEqual([
      running,
      due,
      done,
      dead,
    ]);
    expect(await count({ status: ['sent', 'dead', 'pending', 'sending'] })).toEqual({
      count: 4,
      more: false,
    });
    expect(await count({})).toEqual({ count: 5, more: false });
  });

  it('find rows by account, addressee, part of the error, id, tick and instants', async () => {
    const other = await sql.addAccount();
    const id = await failed({ recipient: 'ana', send_at: sql.at(-60), created_at: sql.at(-90) });
    const second = await failed({
      account_id: other,
      last_error: '5% of it \\ failed',
      finished_at: sql.at(-10),
    });
    const cases: [object, string[]][] = [
      [{ account }, [id]],
      [{ to: 'ana' }, [id]],
      [{ text: 'such PERSON' }, [id]],
      [{ text: '5% of it \\' }, [second]],
      [{ text: '5_' }, []],
      [{ text: id }, [id]],
      [{ ids: [id, 'x', '99999'] }, [id]],
      [{ due_from: sql.at(-60), due_to: sql.at(-59) }, [id]],
      [{ due_to: sql.at(-60) }, []],
      [{ created_to: sql.at(-80) }, [id]],
      [{ finished_from: sql.at(-10), finished_to: sql.now }, [second]],
      [{ finished_from: sql.now }, [id]],
    ];
    for (const [filter, ids] of cases) {
      expect([filter, await list({ status: ['failed'], ...filter })]).toEqual([filter, ids]);
      expect([filter, await count({ status: ['failed'], ...filter })]).toEqual([
        filter,
        { count: ids.length, more: false },
      ]);
    }
    const next = await sql.addDm(account);
    const tick = sql.tick();
    const { claimId } = await tick.claim();
    expect(await list({ tick: tick.id })).toEqual([next]);
    expect(await list({ tick: tick.id.toUpperCase() })).toEqual([next]);
    await tick.settle([{ id: next, claim_id: claimId, outcome: 'dead', error: 'e', account_id: account }]);
    expect(await list({ tick: tick.id })).toEqual([next]);
    expect(await list({ tick: crypto.randomUUID() })).toEqual([]);
  });

  it('find the rows of an error group, and of a kind of error', async () => {
    const ids = [
      await failed({ last_error: 'unipile answered 422: request 17' }),
      await failed({ last_error: 'unipile answered 422: request 18' }),
    ];
    await failed({ last_error: 'timed out' });
    await failed({ last_error: null });
    const [{ id: error }] = await database.sql(
      `select punctual.error_group('unipile answered 422: request 99') as id`,
    );
    expect((await list({ error })).toSorted()).toEqual(ids);
    expect(await count({ error })).toEqual({ count: 2, more: false });
    await database.sql(
      `insert into punctual.error_groups (queue, id, kind, text, first_at) values ('dm_queue', $1, 'rejected', 't', now())`,
      [error],
    );
    expect((await list({ error_kind: 'rejected' })).toSorted()).toEqual(ids);
    expect(await list({ error_kind: 'timeout' })).toEqual([]);
  });

  it('find the rows of an action, and none of another queue’s action', async () => {
    const id = await failed();
    const add = async (queue: string, row: string) => {
      const [{ id }] = await database.sql(
        `insert into punctual.actions (queue, action, filter, actor, state, created_at) values ($1, 'retry', '{}', 'Ann', 'done', now()) returning id::text as id`,
        [queue],
      );
      await database.sql('insert into punctual.action_rows (action_id, row_id, place) values ($1, $2, 1)', [
        id,
        row,
      ]);
      return String(id);
    };
    await failed();
    expect(await list({ action: await add('dm_queue', id) })).toEqual([id]);
    for (const row of ['orders:7', id]) {
      const other = { action: await add('jobs', row) };
      expect([await list(other), await count(other)]).toEqual([[], { count: 0, more: false }]);
    }
  });

  it('find the unknown rows that wait for a person', async () => {
    const { id } = await sql.addUnknown(account);
    expect(await list({ status: ['unknown'], decide: true })).toEqual([]);
    await database.sql(
      `update punctual.dm_queue set reconcile = reconcile || '{"waits_for_operator": true}'`,
    );
    await failed();
    await sql.addDm(account, { status: 'sent', finished_at: sql.now });
    for (const status of [undefined, ['unknown'], ['failed', 'unknown']]) {
      expect(await list({ status, decide: true })).toEqual([id]);
      expect(await count({ status, decide: true })).toEqual({ count: 1, more: false });
    }
    expect(await list({ status: ['failed'], decide: true })).toEqual([]);
    expect(await list({ decide: true }, { p_queue: 'tasks' })).toEqual([]);
  });

  it('sort by the due time or the end, in both directions', async () => {
    const [late, early] = [
      await sql.addDm(account, { send_at: sql.at(60) }),
      await sql.addDm(account, { send_at: sql.at(-60) }),
    ];
    const [first, last] = [await failed({ finished_at: sql.at(-5) }), await failed()];
    expect(await list({}, { p_sort: 'due' })).toEqual([early, late]);
    expect(await list({}, { p_sort: '-due' })).toEqual([late, early]);
    expect(await list({}, { p_sort: 'finished' })).toEqual([first, last]);
    expect(await list({ status: ['failed'] }, { p_sort: '-finished' })).toEqual([last, first]);
  });

  it.each([
    [{ partition: 'a' }, {}, 'partition'],
    [{ status: ['sent', 'gone'] }, {}, 'status'],
    [{ status: ['sent'] }, { p_sort: 'due' }, 'sort'],
    [{}, { p_sort: 'body' }, 'sort'],
    [{}, { p_sort: '--due' }, 'sort'],
  ])('refuse %j with %j and name the part', async (filter, more, detail) => {
    await expect(list(filter, more)).rejects.toMatchObject({ code: '22023', detail });
  });

  it('refuse a column that a person’s own table lacks, and name it', async () => {
    const refused = {
      code: '22023',
      detail: 'created_from',
      message: expect.stringContaining('"created_at"'),
    };
    await expect(list({ created_from: sql.now }, { p_queue: 'tasks' })).rejects.toMatchObject(refused);
    await expect(list({ created_to: sql.now }, { p_queue: 'tasks' })).rejects.toMatchObject({
      ...refused,
      detail: 'created_to',
    });
    const without = { detail: 'partition', message: expect.not.stringContaining('add ""') };
    await expect(list({ partition: 'a' })).rejects.toMatchObject(without);
    await expect(list({ account }, { p_queue: 'tasks' })).rejects.toMatchObject({ detail: 'account' });
  });

  it('list the pending rows of all partitions and priorities by their due time, also of unregistered ones', async () => {
    const ids: string[] = [];
    for (const [n, [lane, priority]] of [
      ['b', 1],
      ['a', 3],
      ['lost', 0],
      ['a', 0],
      ['line', 2],
    ].entries())
      ids.push(await tasks.add({ lane, priority, due: sql.at(n - 10) }));
    const own = { p_queue: 'tasks' };
    expect(await list({}, own)).toEqual(ids);
    expect(await list({ partition: 'a' }, own)).toEqual([ids[1], ids[3]]);
    expect(await list({}, { ...own, p_sort: '-due' })).toEqual(ids.toReversed());
  });
});

describe('lists of many rows', () => {
  const addMany = (n: number) =>
    database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at, last_error)
       select $1, 'linkedin', 'c', 'b', 'failed', $2::timestamptz - n * interval '1 second', case when n = $3 then 'rare' else 'common' end
         from generate_series(1, $3) n`,
      [account, sql.now, n],
    );

  it('read a bounded number of rows in a call, and find all over several', async () => {
    await addMany(25_000);
    await database.sql('analyze punctual.dm_queue');
    const call = {
      p_queue: 'dm_queue',
      p_filter: { status: ['failed'], text: 'rare' },
      p_limit: 10,
      p_now: sql.now,
    };
    const first = (await database.rpc('list_rows', call)) as { items: object[]; next: unknown };
    expect(first.items).toEqual([]);
    expect(first.next).not.toBeNull();
    const second = (await database.rpc('list_rows', { ...call, p_cursor: first.next })) as typeof first;
    expect([second.items.length, second.next]).toEqual([1, null]);
    expect(await count({ status: ['failed'] })).toEqual({ count: 10_000, more: true });
    expect(await count({ status: ['failed'], text: 'rare' })).toEqual({ count: 1, more: false });
  });
});
