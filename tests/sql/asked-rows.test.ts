import { describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTest, perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);
const tasks = perTest(() => makeTasks(database));

const tickOf = (partition = 'a') => sql.tick({ queue: 'tasks', partition });
const ids = ({ rows }: { rows: { id: string }[] }) => rows.map(({ id }) => id);
const addTask = (seconds = -1, more: Record<string, unknown> = {}) =>
  tasks.add({ due: sql.at(seconds), ...more });

describe('rows that a tick asks for', () => {
  const tickFor = (asked_for: string, asked_limit: number | null = null, more: object = {}) =>
    sql.tick({ queue: 'tasks', partition: 'a', asked_for, asked_limit, ...more });
  const addDead = async (lane = 'a', more: object = { max_attempts: 1 }) => {
    const id = await addTask(-10, { lane, ...more });
    await attemptIn(tickOf(lane), 'dead');
    sql.pass(1);
    return id;
  };

  it('are claimed beside a running tick, without waiting for a lock', async () => {
    const [first, second] = [await addTask(-2), await addTask(-1)];
    expect(ids(await tickOf().claim(1))).toEqual([first]);
    const response = await tickFor('pending').claim();
    expect([response.admitted, ids(response)]).toEqual([true, [second]]);
  });

  it('are due, and no more than asked for', async () => {
    for (const seconds of [0, -1, -2, 10]) await addTask(seconds);
    expect((await tickFor('pending', 2).claim()).rows).toHaveLength(2);
    expect((await tickFor('pending', 9).claim()).rows).toHaveLength(1);
  });

  it('run once more if they are dead, longest dead first and without due rows', async () => {
    const [first, second] = [await addDead(), await addDead()];
    await addTask();
    const tick = tickFor('dead', 1);
    const { rows, claimId: claim_id } = await tick.claim();
    expect(rows).toMatchObject([{ id: first, attempt: 2 }]);
    expect(await tasks.row(first)).toMatchObject({ status: 'running', finished_at: null });
    expect(ids(await tickFor('dead').claim())).toEqual([second]);
    await tick.settle([{ id: first, claim_id, outcome: 'done' }]);
    expect(await tasks.row(first)).toMatchObject({ status: 'done', last_error: null });
  });

  it('run once in a tick if they die again, and once more in the next', async () => {
    const id = await addDead();
    const tick = tickFor('dead');
    const { claimId: claim_id } = await tick.claim();
    sql.pass(1);
    const record = { id, claim_id, outcome: 'retry', error: 'still broken', delay_seconds: 1 };
    expect(ids(await tick.settle([record], { want: 5 }))).toEqual([]);
    expect(await tasks.row(id)).toMatchObject({ status: 'dead', attempts: 2, last_error: 'still broken' });
    sql.pass(1);
    expect(ids(await tickFor('dead').claim())).toEqual([id]);
  });

  it('get one more attempt, even if they had several left when they died', async () => {
    const id = await addDead('a', {});
    await attemptIn(tickFor('dead'), 'retry');
    expect(await tasks.row(id)).toMatchObject({ status: 'dead', attempts: 2, max_attempts: 2 });
    sql.pass(1);
    await tickFor('dead').claim();
    sql.pass(90);
    await tickOf().exchange({ want: null });
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
    expect(await attemptIn(tickFor('dead', 1, { slot }), 'retry')).toBe(first);
    sql.pass(5);
    expect(ids(await tickFor('dead', 9, { slot }).claim())).toEqual([second]);
  });

  it('run even if they were set dead by hand', async () => {
    const id = await addTask(-10, { status: 'dead' });
    expect(ids(await tickFor('dead').claim())).toEqual([id]);
  });

  it('wait for the running row of a blocking partition', async () => {
    const dead = await addDead('line');
    const running = await addTask(-1, { lane: 'line' });
    const tick = tickOf('line');
    const { claimId: claim_id } = await tick.claim();
    const claimDead = async () => ids(await tickFor('dead', null, { partition: 'line' }).claim());
    expect(await claimDead()).toEqual([]);
    await tick.settle([{ id: running, claim_id, outcome: 'done' }]);
    expect(await claimDead()).toEqual([dead]);
    await addTask(-1, { lane: 'line' });
    expect(ids(await tickOf('line').claim())).toEqual([]);
  });

  it.each([
    [
      'direct messages',
      { queue: 'dm_queue', partition: 'main', asked_for: 'dead' },
      /dm_queue.*cannot be asked for/,
    ],
    [
      'enrolments',
      { queue: 'enrolments', partition: 'main', asked_for: 'dead' },
      /enrolments.*cannot be asked for/,
    ],
    [
      'a state but pending and dead',
      { queue: 'tasks', partition: 'a', asked_for: 'done' },
      /cannot be asked for/,
    ],
  ])('are refused for %s', async (_, changes, message) => {
    await expect(sql.tick(changes).claim()).rejects.toThrow(message);
  });

  it('do not count as a scheduled tick, and the ledger marks their tick', async () => {
    await tickFor('pending').close();
    expect(await database.sql('select asked_for from punctual.ticks')).toEqual([{ asked_for: 'pending' }]);
    expect(await database.sql(`select last_tick_at from punctual.partitions where partition = 'a'`)).toEqual([
      { last_tick_at: null },
    ]);
  });
});

describe('results and progress', () => {
  const claimOne = async () => {
    const id = await addTask();
    const tick = tickOf();
    const { claimId: claim_id } = await tick.claim();
    return { id, claim_id, tick };
  };

  it('a jsonb column stores the result unchanged', async () => {
    const answer = { words: 3, list: [1, null, 'x'] };
    const id = await addTask();
    await attemptIn(tickOf(), 'done', { result: { answer } });
    expect((await tasks.row(id)).answer).toEqual(answer);
  });

  it('progress is written only under the row’s claim', async () => {
    const { id, claim_id, tick } = await claimOne();
    const report = async (claim: string, progress: unknown) => {
      await tick.exchange({ outcomes: { progress: [{ id, claim_id: claim, progress }] } });
      return (await tasks.row(id)).step;
    };
    expect(await report(claim_id, { percent: 40 })).toEqual({ percent: 40 });
    expect(await report(crypto.randomUUID(), { percent: 99 })).toEqual({ percent: 40 });
    await tick.settle([{ id, claim_id, outcome: 'done' }]);
    expect(await report(claim_id, { percent: 50 })).toEqual({ percent: 40 });
  });

  it('progress that cannot be written does not block outcomes', async () => {
    const { id, claim_id, tick } = await claimOne();
    const progress = [{ id: 'no id', claim_id, progress: 1 }];
    await tick.exchange({ outcomes: { progress, records: [{ id, claim_id, outcome: 'done' }] } });
    expect((await tasks.row(id)).status).toBe('done');
  });
});
