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

describe('the chart of a filter', () => {
  interface Chart {
    bars: (Record<string, number> & { from: string; to: string })[];
    more: boolean;
  }
  const chart = (p_filter: object, more: object = {}) =>
    database.rpc('chart_rows', {
      ...{ p_queue: 'dm_queue', p_filter, p_from: sql.at(-1_200), p_to: sql.now, p_now: sql.now },
      ...more,
    }) as Promise<Chart | null>;
  const end = (status: string, at: number, more: object = {}) =>
    sql.addDm(account, { status, finished_at: sql.at(at), ...more });
  const barsOf = (of: Chart | null, state: string) => of?.bars.map((bar) => bar[state]);

  it('counts the rows that ended in each of twelve parts, which its times list', async () => {
    for (const at of [-1_200, -1_101, -1_100, -1, 0, -1_201]) await end('failed', at);
    await end('sent', -1);
    await sql.addDm(account);
    const found = await chart({});
    expect(barsOf(found, 'dead')).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(barsOf(found, 'done')).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(found?.more).toBe(false);
    for (const { from, to, dead = 0, done = 0 } of found?.bars ?? [])
      expect(await list({ finished_from: from, finished_to: to })).toHaveLength(dead + done);
  });

  it('counts only rows that match, in the states of the filter', async () => {
    await end('failed', -1, { last_error: 'timed out' });
    await end('failed', -1, { last_error: 'other' });
    await end('sent', -1, { last_error: 'timed out' });
    const found = await chart({ status: ['failed'], text: 'timed', finished_from: sql.at(-9) });
    expect(barsOf(found, 'dead')?.at(-1)).toBe(1);
    expect(barsOf(found, 'done')?.at(-1)).toBeUndefined();
  });

  it('is none for rows that have no end', async () => {
    expect(await chart({ status: ['pending', 'sending'] })).toBeNull();
    expect(await chart({}, { p_from: sql.now })).toBeNull();
    await expect(chart({ status: ['gone'] })).rejects.toMatchObject({ code: '22023', detail: 'status' });
  });

  it('reads a bounded number of rows, and says so', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at)
       select $1, 'linkedin', 'c', 'b', 'failed', $2 from generate_series(1, 10500)`,
      [account, sql.at(-1)],
    );
    const failed = { status: ['failed'] };
    expect(barsOf(await chart(failed), 'dead')?.at(-1)).toBe(10_000);
    const found = await chart({ ...failed, to: 'c' });
    expect([barsOf(found, 'dead')?.at(-1), found?.more]).toEqual([500, true]);
  });
});

describe('the neighbours of a row in a list', () => {
  type Found = Record<'previous' | 'next', { id: string; place: unknown } | null>;
  const neighbours = (p_id: string, p_filter: object = {}, more: object = {}) =>
    database.rpc('read_neighbours', {
      p_queue: 'dm_queue',
      p_id,
      p_filter,
      p_now: sql.now,
      ...more,
    }) as Promise<Found>;
  const idsOf = ({ previous, next }: Found) => [previous?.id ?? null, next?.id ?? null];
  const failed = (at: string | null, last_error = 'e') =>
    sql.addDm(account, { status: 'failed', finished_at: at, last_error });

  it.each([[null], ['finished'], ['-finished']])(
    'are those that the list shows, sorted by %s',
    async (p_sort) => {
      if (p_sort === null) {
        for (const lease_expires_at of [sql.at(60), sql.at(30)])
          await sql.addDm(account, { status: 'sending', lease_expires_at });
        for (const due of [5, 5, -60]) await sql.addDm(account, { send_at: sql.at(due) });
      }
      for (const at of [sql.at(-9), sql.now, sql.at(-9), null, null]) await failed(at);
      const ids = await list({}, { p_sort });
      for (const [n, id] of ids.entries())
        expect(idsOf(await neighbours(id, {}, { p_sort }))).toEqual([ids[n - 1] ?? null, ids[n + 1] ?? null]);
    },
  );

  it('skip rows that do not match', async () => {
    const ids = [await failed(sql.now), await failed(sql.at(-1), 'other'), await failed(sql.at(-2))];
    await sql.addDm(account);
    const filter = { status: ['failed'], text: 'e' };
    expect(idsOf(await neighbours(ids[0] as string, { ...filter, text: 'other' }))).toEqual([null, ids[1]]);
    expect(idsOf(await neighbours(ids[2] as string, { status: ['failed'], text: 'x' }))).toEqual([
      null,
      null,
    ]);
    expect(idsOf(await neighbours(ids[1] as string, filter))).toEqual([ids[0], ids[2]]);
  });

  it('stay those of its place after the row has left the list', async () => {
    const ids = [await failed(sql.now), await failed(sql.at(-1)), await failed(sql.at(-2))];
    const { next } = await neighbours(ids[0] as string, { status: ['failed'] });
    expect(next?.id).toBe(ids[1]);
    await database.sql(`update punctual.dm_queue set status = 'pending', finished_at = null where id = $1`, [
      ids[1],
    ]);
    const at = { p_place: next?.place };
    expect(idsOf(await neighbours(ids[1] as string, { status: ['failed'] }, at))).toEqual([ids[0], ids[2]]);
    // In the list of all rows it is its own predecessor by now.
    expect(idsOf(await neighbours(ids[1] as string, {}, at))).toEqual([ids[0], ids[2]]);
    expect(idsOf(await neighbours(ids[1] as string, { status: ['failed'] }))).toEqual([null, null]);
  });

  it('are none for a row that does not exist', async () => {
    await failed(sql.now);
    for (const id of ['99999', 'x']) expect(idsOf(await neighbours(id))).toEqual([null, null]);
  });

  it('are sought among 20,000 rows in each direction', async () => {
    await database.sql(
      `insert into punctual.dm_queue (account_id, channel, chat_id, body, status, finished_at, last_error)
       select $1, 'linkedin', 'c', 'b', 'failed', $2::timestamptz - n * interval '1 second', case when n in (1, 24000) then 'rare' else 'common' end
         from generate_series(1, 25000) n`,
      [account, sql.now],
    );
    await database.sql('analyze punctual.dm_queue');
    const filter = { status: ['failed'], text: 'rare' };
    const [first] = await list(filter);
    expect(idsOf(await neighbours(first as string, filter))).toEqual([null, null]);
  });
});
