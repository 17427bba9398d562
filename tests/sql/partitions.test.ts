import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
let tasks: Awaited<ReturnType<typeof makeTasks>>;

beforeEach(async () => {
  tasks = await makeTasks(database);
});

const line = (changes: Record<string, unknown> = {}) =>
  sql.tick({ queue: 'tasks', partition: 'line', ...changes });
const ids = (response: { rows: { id: string }[] }) => response.rows.map((row) => row.id);
const addToLine = (seconds: number, changes: Record<string, unknown> = {}) =>
  tasks.add({ lane: 'line', due: sql.at(seconds), ...changes });
const allowTicks = (n: number) =>
  database.sql(`update punctual.queues set max_ticks = ${n} where name = 'tasks'`);

/** Claims one row and settles it. Returns its id. */
async function attempt(outcome: string, more: Record<string, unknown> = {}) {
  const tick = line();
  const { rows, claimId } = await tick.claim();
  const id = rows[0]?.id ?? '';
  await tick.settle([{ id, claim_id: claimId, outcome, error: 'e', delay_seconds: 60, ...more }], {
    close: true,
  });
  return id;
}

describe('a blocking partition', () => {
  beforeEach(() => allowTicks(8));

  it('hands out one row at a time, however many ticks claim', async () => {
    const [first, second] = [await addToLine(-2), await addToLine(-1)];
    const tick = line();
    const taken = await tick.claim();
    expect(ids(taken)).toEqual([first]);
    expect(ids(await tick.claim())).toEqual([]);
    expect(ids(await line().claim())).toEqual([]);
    const record = { id: first, claim_id: taken.claimId, outcome: 'done' };
    expect(ids(await tick.settle([record], { want: 5 }))).toEqual([second]);
  });

  it('waits for the retry of its head, however urgent the rows behind it are', async () => {
    const head = await addToLine(-2);
    expect(await attempt('retry')).toBe(head);
    await addToLine(-100);
    await addToLine(0, { priority: 0 });
    expect(ids(await line().claim())).toEqual([]);
    sql.pass(59);
    expect(ids(await line().claim())).toEqual([]);
    sql.pass(1);
    expect(ids(await line().claim())).toEqual([head]);
  });

  it.each(['done', 'dead', 'again'])('continues when the outcome of its head is %s', async (outcome) => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    expect(await attempt(outcome, { delay_seconds: 3_600 })).toBe(head);
    expect(ids(await line().claim())).toEqual([next]);
  });

  it('claims a released head again, in order', async () => {
    const head = await addToLine(-2);
    await attempt('release');
    expect(ids(await line().claim())).toEqual([head]);
  });

  it('claims a more urgent row before a head that was never started', async () => {
    await addToLine(-2);
    await attempt('release');
    const urgent = await addToLine(0, { priority: 0 });
    expect(ids(await line().claim())).toEqual([urgent]);
  });

  it('waits for a rate-limited head, although the limit costs no attempt', async () => {
    const head = await addToLine(-2);
    await addToLine(-1);
    await attempt('retry', { rate_limited: true });
    expect((await tasks.row(head)).attempts).toBe(0);
    expect(ids(await line().claim())).toEqual([]);
    sql.pass(60);
    expect(ids(await line().claim())).toEqual([head]);
  });

  it('waits for an unknown head until an operator decides', async () => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attempt('unknown');
    sql.pass(100_000);
    expect(ids(await line().claim())).toEqual([]);
    await database.rpc('resolve_row', { p_queue: 'tasks', p_id: head, p_decision: 'cancelled' });
    expect(ids(await line().claim())).toEqual([next]);
  });

  it('claims the head of a dead tick again before any other row', async () => {
    const head = await addToLine(-2);
    await addToLine(0, { priority: 0 });
    await database.sql(`update app.tasks set priority = 0 where id = ${head}`);
    expect(ids(await line().claim())).toEqual([head]);
    await addToLine(-1_000, { priority: 0 });
    sql.pass(90);
    expect(ids(await line().claim())).toEqual([]);
    // The backoff after the sweep is at most base * 4.
    sql.pass(120);
    expect(ids(await line().claim())).toEqual([head]);
  });

  it.each([
    ['infinity', 'infinity'],
    ['null', 'null'],
  ])('says why it waits when the due time of a started head is set to %s', async (_case, due) => {
    const head = await addToLine(-2);
    await addToLine(-1);
    await attempt('retry');
    await database.sql(
      `update app.tasks set next_attempt_at = null, due = ${due === 'null' ? 'null' : `'${due}'`} where id = $1`,
      [head],
    );
    expect(await line().exchange({ close: true })).toMatchObject({ due: 1, next_due_in_ms: null });
    const stats = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; partitions: { waiting: string }[] }[];
    };
    expect(stats.queues.find(({ name }) => name === 'tasks')?.partitions[2]?.waiting).toBe(
      `row ${head} has been attempted and goes first, but its due is ${due}`,
    );
  });

  it.each([
    ['cancelled', `update app.tasks set status = 'cancelled' where id = $1`],
    ['deleted', 'delete from app.tasks where id = $1'],
    ['moved to another partition', `update app.tasks set lane = 'a' where id = $1`],
  ])('continues when a waiting head is %s', async (_case, statement) => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attempt('retry');
    await database.sql(statement, [head]);
    expect(ids(await line().claim())).toEqual([next]);
  });

  it('continues when a waiting head has expired', async () => {
    await addToLine(-2, { expires_at: sql.at(30) });
    const next = await addToLine(-1);
    await attempt('retry');
    sql.pass(30);
    expect(ids(await line().claim())).toEqual([next]);
  });

  it('reports the due time of its head as the next one', async () => {
    await addToLine(-2);
    await addToLine(-1);
    await attempt('retry');
    sql.pass(10);
    expect(await line().exchange({ close: true })).toMatchObject({ due: 1, next_due_in_ms: 50_000 });
  });

  it('says why a row waits and until when', async () => {
    const head = await addToLine(-2);
    const next = await addToLine(-1);
    await attempt('retry');
    const explain = (id: string) =>
      database.rpc('explain_row', { p_queue: 'tasks', p_id: id, p_now: sql.now }) as Promise<{
        waits: { kind: string; text: string }[];
        expected_at: string;
      }>;
    expect((await explain(next)).waits).toMatchObject([
      { kind: 'blocked', text: `row ${head} failed, will be retried, and goes first` },
    ]);
    expect(new Date((await explain(next)).expected_at).toISOString()).toBe(sql.at(60));
    expect((await explain(head)).waits.map(({ kind }) => kind)).toContain('retry');
    sql.pass(60);
    expect((await explain(next)).waits).toMatchObject([
      { kind: 'blocked', text: `row ${head} of the partition has been attempted and must finish first` },
    ]);
  });
});

describe('a partition with max_running = 3', () => {
  it('runs up to three rows over two ticks', async () => {
    await allowTicks(2);
    await database.sql(`update punctual.partitions set max_running = 3 where partition = 'line'`);
    for (let n = 0; n < 6; n++) await addToLine(n - 10);
    const [one, other] = [line(), line()];
    const first = await one.claim(2);
    expect(first.rows).toHaveLength(2);
    expect((await other.claim(5)).rows).toHaveLength(1);
    const records = first.rows.map(({ id }) => ({
      id,
      claim_id: first.claimId,
      outcome: 'retry',
      error: 'e',
      delay_seconds: 60,
    }));
    expect((await one.settle(records, { want: 5 })).rows).toHaveLength(2);
  });
});

describe('the partitions to tick', () => {
  const due = async (changes: Record<string, unknown> = {}) =>
    (await database.rpc('list_due_partitions', { p_queue: 'tasks', p_now: sql.now, ...changes })) as {
      partition: string;
      due_seconds: number | null;
    }[];

  it('are those with a due row, longest without a tick first', async () => {
    for (const lane of ['a', 'b', 'line']) await tasks.add({ lane, due: sql.at(-5) });
    await tasks.add({ lane: 'b', due: sql.at(5) });
    await sql.tick({ queue: 'tasks', partition: 'a' }).exchange();
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
    await addToLine(-2);
    await addToLine(-1);
    await line().claim();
    // One partition is ticked all the same, so that overdue rows are swept.
    expect(await due()).toEqual([{ partition: 'a', due_seconds: null, timeout_seconds: 15 }]);
  });

  it('include at least one even if the queue is paused, so that overdue rows are swept', async () => {
    const id = await tasks.add({ due: sql.at(-5) });
    await sql.tick({ queue: 'tasks', partition: 'a' }).claim();
    await database.sql(`update punctual.queues set paused_at = $1 where name = 'tasks'`, [sql.now]);
    sql.pass(90);
    const [one] = await due();
    await sql.tick({ queue: 'tasks', partition: one?.partition }).exchange({ want: null });
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
      const tick = sql.tick({ queue: 'tasks', partition: name });
      const { rows, claimId } = await tick.claim();
      expect(rows.map(({ row }) => row.lane)).toEqual([name]);
      await tick.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'dead', error: 'e' }], {
        close: true,
      });
      sql.pass(1);
      const again = await sql.tick({ queue: 'tasks', partition: name, asked_for: 'dead' }).claim();
      expect(again.rows.map(({ row }) => row.lane)).toEqual([name]);
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
});

describe('the figures of partitions', () => {
  it('give the due rows of each partition and why none of them may start', async () => {
    await tasks.add({ lane: 'a', due: sql.at(-7) });
    const head = await addToLine(-2);
    await addToLine(-1);
    await attempt('retry');
    const stats = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; partitions: object[]; settings: object }[];
    };
    const queue = stats.queues.find(({ name }) => name === 'tasks');
    expect(queue?.partitions).toMatchObject([
      { name: 'a', due: 1, oldest_due_seconds: 7, max_running: null, waiting: null },
      { name: 'b', due: 0, oldest_due_seconds: null },
      {
        name: 'line',
        due: 1,
        max_running: 1,
        waiting: `row ${head} failed, will be retried, and goes first`,
      },
    ]);
    expect(queue?.settings).toEqual({
      batch_limit: 30,
      concurrency: 5,
      adaptive: false,
      budget_seconds: null,
    });
    expect(stats.queues.find(({ name }) => name === 'dm_queue')?.partitions).toEqual([]);
  });
});

describe('rows that a tick asks for', () => {
  const tickFor = (state: string, limit: number | null = null, partition = 'a') =>
    sql.tick({ queue: 'tasks', partition, asked_for: state, asked_limit: limit });
  const addDead = async (lane = 'a') => {
    const id = await tasks.add({ lane, due: sql.at(-10), max_attempts: 1 });
    const tick = sql.tick({ queue: 'tasks', partition: lane });
    const { rows, claimId } = await tick.claim();
    await tick.settle(
      rows.map((row) => ({
        id: row.id,
        claim_id: claimId,
        outcome: 'retry',
        error: 'broken',
        delay_seconds: 1,
      })),
      { close: true },
    );
    sql.pass(1);
    return id;
  };

  it('are claimed beside a running tick, without waiting for a lock', async () => {
    const [first, second] = [await tasks.add({ due: sql.at(-2) }), await tasks.add({ due: sql.at(-1) })];
    expect(ids(await sql.tick({ queue: 'tasks', partition: 'a' }).claim(1))).toEqual([first]);
    const response = await tickFor('pending').claim();
    expect(response.admitted).toBe(true);
    expect(ids(response)).toEqual([second]);
  });

  it('are due, and no more than asked for', async () => {
    for (let n = 0; n < 3; n++) await tasks.add({ due: sql.at(-n) });
    await tasks.add({ due: sql.at(10) });
    expect((await tickFor('pending', 2).claim()).rows).toHaveLength(2);
    expect((await tickFor('pending', 9).claim()).rows).toHaveLength(1);
  });

  it('run once more if they are dead, longest dead first and without due rows', async () => {
    const [first, second] = [await addDead(), await addDead()];
    await tasks.add({ due: sql.at(-1) });
    const tick = tickFor('dead', 1);
    const response = await tick.claim();
    expect(response.rows).toMatchObject([{ id: first, attempt: 2 }]);
    expect(await tasks.row(first)).toMatchObject({ status: 'running', finished_at: null });
    expect(ids(await tickFor('dead').claim())).toEqual([second]);
    await tick.settle([{ id: first, claim_id: response.claimId, outcome: 'done' }]);
    expect(await tasks.row(first)).toMatchObject({ status: 'done', last_error: null });
  });

  it('run once in a tick if they die again, and once more in the next', async () => {
    const id = await addDead();
    const tick = tickFor('dead');
    const { claimId } = await tick.claim();
    sql.pass(1);
    const record = { id, claim_id: claimId, outcome: 'retry', error: 'still broken', delay_seconds: 1 };
    expect(ids(await tick.settle([record], { want: 5 }))).toEqual([]);
    expect(await tasks.row(id)).toMatchObject({ status: 'dead', attempts: 2, last_error: 'still broken' });
    sql.pass(1);
    expect(ids(await tickFor('dead').claim())).toEqual([id]);
  });

  it('get one more attempt, even if they had several left when they died', async () => {
    const id = await tasks.add({ due: sql.at(-10) });
    const dies = sql.tick({ queue: 'tasks', partition: 'a' });
    await dies.settle([{ id, claim_id: (await dies.claim()).claimId, outcome: 'dead', error: 'no' }], {
      close: true,
    });
    sql.pass(1);
    const tick = tickFor('dead');
    const { claimId } = await tick.claim();
    await tick.settle([{ id, claim_id: claimId, outcome: 'retry', error: 'again', delay_seconds: 1 }], {
      close: true,
    });
    expect(await tasks.row(id)).toMatchObject({ status: 'dead', attempts: 2, max_attempts: 2 });
    sql.pass(1);
    await tickFor('dead').claim();
    sql.pass(90);
    await sql.tick({ queue: 'tasks', partition: 'a' }).exchange({ want: null });
    expect(await tasks.row(id)).toMatchObject({ status: 'dead', attempts: 3 });
  });

  it('do not run once expires_at has passed, and keep their expires_at', async () => {
    const [late, early] = [await addDead(), await addDead()];
    await database.sql(
      'update app.tasks set expires_at = case when id = $1 then $2 else $3 end::timestamptz',
      [late, sql.at(-1), sql.at(60)],
    );
    expect(ids(await tickFor('dead').claim())).toEqual([early]);
    expect(new Date((await tasks.row(early)).expires_at).toISOString()).toBe(sql.at(60));
  });

  it('run once if their slot is delivered twice, and the second delivery runs the rest', async () => {
    const [first, second] = [await addDead(), await addDead()];
    const slot = sql.at(0);
    const delivery = (limit: number) =>
      sql.tick({ queue: 'tasks', partition: 'a', asked_for: 'dead', asked_limit: limit, slot });
    const one = delivery(1);
    const { claimId } = await one.claim();
    await one.settle([{ id: first, claim_id: claimId, outcome: 'retry', error: 'still', delay_seconds: 1 }], {
      close: true,
    });
    sql.pass(5);
    expect(ids(await delivery(9).claim())).toEqual([second]);
  });

  it('run even if they were set dead by hand', async () => {
    const id = await tasks.add({ due: sql.at(-10), status: 'dead' });
    expect(ids(await tickFor('dead').claim())).toEqual([id]);
  });

  it('wait for the running row of a blocking partition', async () => {
    const dead = await addDead('line');
    await addToLine(-1);
    const tick = line();
    const { rows, claimId } = await tick.claim();
    expect(ids(await tickFor('dead', null, 'line').claim())).toEqual([]);
    await tick.settle([{ id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' }]);
    expect(ids(await tickFor('dead', null, 'line').claim())).toEqual([dead]);
    await addToLine(-1);
    expect(ids(await line().claim())).toEqual([]);
  });

  it('are refused for direct messages, for enrolments, and for any state but pending and dead', async () => {
    await expect(sql.tick({ asked_for: 'dead' }).claim()).rejects.toThrow(/dm_queue.*cannot be asked for/);
    const enrolments = sql.tick({ queue: 'enrolments', asked_for: 'dead' });
    await expect(enrolments.claim()).rejects.toThrow(/enrolments.*cannot be asked for/);
    await expect(tickFor('done').claim()).rejects.toThrow(/cannot be asked for/);
  });

  it('do not count as a scheduled tick, and the ledger marks their tick', async () => {
    await tickFor('pending').exchange({ close: true });
    expect(await database.sql('select asked_for from punctual.ticks')).toEqual([{ asked_for: 'pending' }]);
    expect(await database.sql(`select last_tick_at from punctual.partitions where partition = 'a'`)).toEqual([
      { last_tick_at: null },
    ]);
  });
});

describe('results and progress', () => {
  it('a jsonb column stores the result unchanged', async () => {
    const id = await tasks.add({ due: sql.at(-1) });
    const tick = sql.tick({ queue: 'tasks', partition: 'a' });
    const { claimId } = await tick.claim();
    const answer = { words: 3, list: [1, null, 'x'] };
    await tick.settle([{ id, claim_id: claimId, outcome: 'done', result: { answer } }]);
    expect((await tasks.row(id)).answer).toEqual(answer);
  });

  it('progress is written only under the row’s claim', async () => {
    const id = await tasks.add({ due: sql.at(-1) });
    const tick = sql.tick({ queue: 'tasks', partition: 'a' });
    const { claimId } = await tick.claim();
    const report = (claim_id: string, progress: unknown) =>
      tick.exchange({ outcomes: { progress: [{ id, claim_id, progress }] } });
    await report(claimId, { percent: 40 });
    expect((await tasks.row(id)).step).toEqual({ percent: 40 });
    await report(crypto.randomUUID(), { percent: 99 });
    expect((await tasks.row(id)).step).toEqual({ percent: 40 });
    await tick.settle([{ id, claim_id: claimId, outcome: 'done' }]);
    await report(claimId, { percent: 50 });
    expect((await tasks.row(id)).step).toEqual({ percent: 40 });
  });

  it('progress that cannot be written does not block outcomes', async () => {
    const id = await tasks.add({ due: sql.at(-1) });
    const tick = sql.tick({ queue: 'tasks', partition: 'a' });
    const { claimId } = await tick.claim();
    await tick.exchange({
      outcomes: {
        progress: [{ id: 'no id', claim_id: claimId, progress: 1 }],
        records: [{ id, claim_id: claimId, outcome: 'done' }],
      },
    });
    expect((await tasks.row(id)).status).toBe('done');
  });
});

describe('a queue with accounts and max_running = 2', () => {
  it('claims no third row, however many accounts are ready', async () => {
    await database.sql(`update punctual.partitions set max_running = 2 where queue = 'dm_queue'`);
    for (let n = 0; n < 4; n++) await sql.addDm(await sql.addAccount());
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim();
    expect(rows).toHaveLength(2);
    expect((await tick.claim()).rows).toHaveLength(0);
    const record = { id: rows[0]?.id ?? '', claim_id: claimId, outcome: 'done' };
    expect((await tick.settle([record], { want: 5 })).rows).toHaveLength(1);
  });
});

it('a partition of pgmq cannot limit its running rows', async () => {
  await expect(
    database.sql(`insert into punctual.queues (name, source, table_schema, table_name, id_type, due_column, status_type, pending_word, running_word,
      done_word, dead_word, unknown_word, cancelled_word, delivery) values ('pgmq', 'pgmq', 'p', 'm', 'bigint', 'vt', 'text', 'a', 'b', 'c', 'd', 'e', 'f',
      'at-least-once') on conflict do nothing`),
  ).resolves.toBeDefined();
  await expect(
    database.sql(`insert into punctual.partitions (queue, partition, max_running) values ('pgmq', 'x', 1)`),
  ).rejects.toThrow(/partitions_pgmq_has_no_order/);
});

describe('rows whose tick died', () => {
  it('are due again at different times, and later after each sweep', async () => {
    for (let n = 0; n < 20; n++) await tasks.add({ due: sql.at(-1) });
    const waits = async () => {
      await sql.tick({ queue: 'tasks', partition: 'a' }).claim();
      sql.pass(90);
      await database.sql(`update punctual.ticks set closed_at = now() where closed_at is null`);
      await sql.tick({ queue: 'tasks', partition: 'b' }).exchange({ want: null, close: true });
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
    await sql.tick({ queue: 'tasks', partition: 'a' }).claim();
    sql.pass(90);
    await sql.tick({ queue: 'tasks', partition: 'b' }).exchange({ want: null });
    const rows = await database.sql(`select distinct finished_at from app.tasks where status = 'dead'`);
    expect(rows.length).toBeGreaterThan(15);
    for (const { finished_at } of rows) {
      expect(Date.parse(sql.now) - Date.parse(finished_at)).toBeGreaterThanOrEqual(0);
      expect(Date.parse(sql.now) - Date.parse(finished_at)).toBeLessThan(1_000);
    }
  });
});
