import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { readQueueStats } from '../support/own-tables.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
const tasks = perTest(() => makeTasks(database));

const tickOf = (partition: string, changes: Record<string, unknown> = {}) =>
  sql.tick({ queue: 'tasks', partition, ...changes });
const line = () => tickOf('line');
const ids = ({ rows }: { rows: { id: string }[] }) => rows.map(({ id }) => id);
const claimLine = async () => ids(await line().claim());
const addToLine = (seconds: number, changes: Record<string, unknown> = {}) =>
  tasks.add({ lane: 'line', due: sql.at(seconds), ...changes });
const attemptLine = (outcome: string, more: object = {}) =>
  attemptIn(line(), outcome, { delay_seconds: 60, ...more });
const allowTicks = (n: number) =>
  database.sql(`update punctual.queues set max_ticks = ${n} where name = 'tasks'`);
const cancel = (id: string) =>
  database.rpc('resolve_row', { p_queue: 'tasks', p_id: id, p_decision: 'cancelled' });
const failedFirst = (id: string) => `row ${id} failed, will be retried, and goes first`;

describe('a blocking partition', () => {
  beforeEach(() => allowTicks(8));

  it('hands out one row at a time, however many ticks claim', async () => {
    const [first, second] = [await addToLine(-2), await addToLine(-1)];
    const tick = line();
    const taken = await tick.claim();
    expect(ids(taken)).toEqual([first]);
    expect(ids(await tick.claim())).toEqual([]);
    expect(await claimLine()).toEqual([]);
    const record = { id: first, claim_id: taken.claimId, outcome: 'done' };
    expect(ids(await tick.settle([record], { want: 5 }))).toEqual([second]);
  });

  it.each([
    ['failed', false, 1],
    ['was rate-limited, which costs no attempt', true, 0],
  ])(
    'waits for its head if it %s, however urgent the rows behind it are',
    async (_, rate_limited, attempts) => {
      const head = await addToLine(-2);
      expect(await attemptLine('retry', { rate_limited })).toBe(head);
      expect((await tasks.row(head)).attempts).toBe(attempts);
      await addToLine(-100);
      await addToLine(0, { priority: 0 });
      sql.pass(59);
      expect(await line().exchange({ want: 9, close: true })).toMatchObject({
        rows: [],
        due: 2,
        next_due_in_ms: 1_000,
      });
      sql.pass(1);
      expect(await claimLine()).toEqual([head]);
    },
  );

  it.each(['done', 'dead', 'again'])('continues when the outcome of its head is %s', async (outcome) => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    expect(await attemptLine(outcome, { delay_seconds: 3_600 })).toBe(head);
    expect(await claimLine()).toEqual([next]);
  });

  it('claims a more urgent row before a head that was never started', async () => {
    await addToLine(-2);
    await attemptLine('release');
    const urgent = await addToLine(0, { priority: 0 });
    expect(await claimLine()).toEqual([urgent]);
  });

  it('waits for an unknown head until an operator decides', async () => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attemptLine('unknown');
    sql.pass(100_000);
    expect(await claimLine()).toEqual([]);
    await cancel(head);
    expect(await claimLine()).toEqual([next]);
  });

  it('claims the head of a dead tick again before any other row', async () => {
    const head = await addToLine(-2);
    await claimLine();
    await addToLine(-1_000, { priority: 0 });
    sql.pass(90);
    expect(await claimLine()).toEqual([]);
    // The backoff after the sweep is at most base * 4.
    sql.pass(120);
    expect(await claimLine()).toEqual([head]);
  });

  it.each(['infinity', null])(
    'says why it waits when the due time of a started head is set to %s',
    async (due) => {
      const head = await addToLine(-2);
      await addToLine(-1);
      await attemptLine('retry');
      await database.sql('update app.tasks set next_attempt_at = null, due = $2 where id = $1', [head, due]);
      expect(await line().exchange({ close: true })).toMatchObject({ due: 1, next_due_in_ms: null });
      const stats = await readQueueStats(database, sql.now);
      expect(stats.tasks?.partitions[2]?.waiting).toBe(
        `row ${head} has been attempted and goes first, but its due is ${due}`,
      );
    },
  );

  it.each([
    ['is cancelled', `update app.tasks set status = 'cancelled' where id = $1`],
    ['is deleted', 'delete from app.tasks where id = $1'],
    ['is moved to another partition', `update app.tasks set lane = 'a' where id = $1`],
    ['has expired', `update app.tasks set expires_at = '2026-03-02T12:00:00Z' where id = $1`],
  ])('continues when a waiting head %s', async (_case, statement) => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attemptLine('retry');
    await database.sql(statement, [head]);
    expect(await claimLine()).toEqual([next]);
  });

  it('says why a row waits and until when', async () => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attemptLine('retry');
    const explain = async (id: string) =>
      (await database.rpc('explain_row', { p_queue: 'tasks', p_id: id, p_now: sql.now })) as {
        waits: { kind: string }[];
        expected_at: string;
      };
    const waiting = await explain(next);
    expect(waiting.waits).toMatchObject([{ kind: 'blocked', text: failedFirst(head) }]);
    expect(new Date(waiting.expected_at).toISOString()).toBe(sql.at(60));
    expect((await explain(head)).waits.map(({ kind }) => kind)).toContain('retry');
    sql.pass(60);
    expect((await explain(next)).waits).toMatchObject([
      { kind: 'blocked', text: `row ${head} of the partition has been attempted and must finish first` },
    ]);
  });
});

describe('max_running', () => {
  it('limits the rows of a partition over two ticks', async () => {
    await allowTicks(2);
    await database.sql(`update punctual.partitions set max_running = 3 where partition = 'line'`);
    for (let n = 0; n < 6; n++) await addToLine(n - 10);
    const [one, other] = [line(), line()];
    const first = await one.claim(2);
    expect(first.rows).toHaveLength(2);
    expect((await other.claim(5)).rows).toHaveLength(1);
    const records = ids(first).map((id) => {
      return { id, claim_id: first.claimId, outcome: 'retry', error: 'e', delay_seconds: 60 };
    });
    expect((await one.settle(records, { want: 5 })).rows).toHaveLength(2);
  });

  it('limits a queue with accounts, however many of them are ready', async () => {
    await database.sql(`update punctual.partitions set max_running = 2 where queue = 'dm_queue'`);
    for (let n = 0; n < 4; n++) await sql.addDm(await sql.addAccount());
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim();
    expect(rows).toHaveLength(2);
    expect((await tick.claim()).rows).toHaveLength(0);
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' };
    expect((await tick.settle([record], { want: 5 })).rows).toHaveLength(1);
  });

  it('is refused for a partition of pgmq', async () => {
    await database.sql(`insert into punctual.queues select (jsonb_populate_record(q, '{"name": "pgmq", "source": "pgmq", "table_name": "x"}')).*
      from punctual.queues q where q.name = 'tasks' on conflict do nothing`);
    await expect(
      database.sql(`insert into punctual.partitions (queue, partition, max_running) values ('pgmq', 'x', 1)`),
    ).rejects.toThrow(/partitions_pgmq_has_no_order/);
  });
});

describe('the partitions to tick', () => {
  const due = async (changes: Record<string, unknown> = {}) =>
    (await database.rpc('list_due_partitions', { p_queue: 'tasks', p_now: sql.now, ...changes })) as {
      partition: string;
    }[];

  it('are those with a due row, longest without a tick first', async () => {
    for (const lane of ['a', 'b', 'line']) await tasks.add({ lane, due: sql.at(-5) });
    await tasks.add({ lane: 'b', due: sql.at(5) });
    await tickOf('a').exchange();
    await database.sql(`update punctual.partitions set timeout_seconds = 7 where partition = 'line'`);
    expect(await due()).toEqual([
      { partition: 'b', due_seconds: 5, timeout_seconds: 15 },
      { partition: 'line', due_seconds: 5, timeout_seconds: 7 },
      { partition: 'a', due_seconds: 5, timeout_seconds: 15 },
    ]);
  });

  it('leave out paused, not due and blocked ones, but always include one', async () => {
    await database.sql(`update punctual.partitions set paused_at = $1 where partition = 'a'`, [sql.now]);
    await tasks.add({ lane: 'a', due: sql.at(-5) });
    await tasks.add({ lane: 'b', due: sql.at(5) });
    for (const seconds of [-2, -1]) await addToLine(seconds);
    await line().claim();
    expect(await due()).toEqual([{ partition: 'a', due_seconds: null, timeout_seconds: 15 }]);
  });

  it('include at least one even if the queue is paused, so that overdue rows are swept', async () => {
    const id = await tasks.add({ due: sql.at(-5) });
    await tickOf('a').claim();
    await database.sql(`update punctual.queues set paused_at = $1 where name = 'tasks'`, [sql.now]);
    sql.pass(90);
    const [one] = await due();
    await tickOf(one?.partition ?? '').exchange({ want: null });
    expect((await tasks.row(id)).status).toBe('pending');
  });

  it('claim only their own rows, whatever characters their names have', async () => {
    const names = [
      's.x',
      't.x',
      'test.example',
      'at.',
      "o'hara",
      '%s',
      '$1',
      'a"b',
      'back\\slash',
      'Ünïcode 字',
    ];
    for (const name of names) {
      await database.sql(
        `insert into punctual.partitions (queue, partition, max_running) values ('tasks', $1, 1)`,
        [name],
      );
      await tasks.add({ lane: name, due: sql.at(-5) });
    }
    for (const name of names) {
      const id = await attemptIn(tickOf(name), 'dead');
      expect((await tasks.row(id ?? '')).lane).toBe(name);
      sql.pass(1);
      expect(ids(await tickOf(name, { asked_for: 'dead' }).claim())).toEqual([id]);
    }
  });

  it('are the one that is named, and an error lists the existing ones if it is unknown', async () => {
    expect(await due({ p_only: 'b' })).toEqual([{ partition: 'b', timeout_seconds: 15 }]);
    await expect(due({ p_only: 'c' })).rejects.toMatchObject({
      code: 'PT404',
      message: expect.stringMatching(/"c".*Its partitions: a, b, line/),
    });
    await expect(due({ p_queue: 'none' })).rejects.toMatchObject({ code: 'PT404' });
  });

  it('show in the stats their due rows and why none may start, and rows of an unknown partition are reported', async () => {
    for (const lane of ['a', 'mars']) await tasks.add({ lane, due: sql.at(-7) });
    const head = await addToLine(-2);
    await addToLine(-1);
    await attemptLine('retry');
    const stats = await readQueueStats(database, sql.now);
    expect(stats.tasks?.partitions).toMatchObject([
      { name: 'a', due: 1, oldest_due_seconds: 7, max_running: null, waiting: null },
      { name: 'b', due: 0, oldest_due_seconds: null },
      { name: 'line', due: 1, max_running: 1, waiting: failedFirst(head) },
    ]);
    expect(stats.tasks?.unreachable).toEqual([{ reason: 'the partition "mars" is unknown', rows: 1 }]);
    expect(stats.dm_queue?.partitions).toEqual([]);
  });
});

describe('rows whose tick died', () => {
  it('are due again at different times, and later after each sweep', async () => {
    for (let n = 0; n < 20; n++) await tasks.add({ due: sql.at(-1) });
    const waits = async () => {
      await tickOf('a').claim();
      sql.pass(90);
      await database.sql('update punctual.ticks set closed_at = now() where closed_at is null');
      await tickOf('b').exchange({ want: null, close: true });
      const rows = await database.sql(
        'select extract(epoch from next_attempt_at - $1::timestamptz)::double precision as wait from app.tasks order by 1',
        [sql.now],
      );
      return rows.map(({ wait }) => Number(wait));
    };
    const first = await waits();
    expect(new Set(first).size).toBeGreaterThan(15);
    expect(first[0]).toBeGreaterThanOrEqual(0);
    expect(first[19]).toBeLessThan(120);
    expect(first[19]).toBeGreaterThan(80);
    sql.pass(120);
    expect((await waits())[19]).toBeGreaterThan(300);
  });

  it('die at different instants if their attempts are used up, so that each redrive reaches others', async () => {
    for (let n = 0; n < 20; n++) await tasks.add({ due: sql.at(-1), max_attempts: 1 });
    await tickOf('a').claim();
    sql.pass(90);
    await tickOf('b').exchange({ want: null });
    const rows = await database.sql(`select distinct finished_at from app.tasks where status = 'dead'`);
    const ages = rows.map(({ finished_at }) => Date.parse(sql.now) - Date.parse(finished_at));
    expect(ages.length).toBeGreaterThan(15);
    expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ages)).toBeLessThan(1_000);
  });
});
