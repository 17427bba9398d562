import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

const now = '2026-06-30T03:00:00Z';
const ago = (days: number) => new Date(Date.parse(now) - days * 86_400_000).toISOString();
const prune = (limit = 1_000) =>
  database.rpc('prune', { p_limit: limit, p_now: now }) as Promise<
    Record<string, number> & { more: boolean }
  >;
const rollUp = (day?: string) => sql.rollUp(now, { day });
const figures = () => database.sql('select * from punctual.daily_outcomes order by day');

/** Adds jobs that were done so many days ago. */
const addDone = (...days: number[]) =>
  database.sql(
    `insert into punctual.jobs (name, status, finished_at, run_at) select 'j', 'done', at, at from unnest($1::timestamptz[]) at`,
    [days.map(ago)],
  );
const addMonitors = () =>
  database.sql(
    `insert into punctual.monitors (name, url, next_check_at) select 'm', 'https://m.test/' || n, '2100-01-01' from generate_series(1, 2) n`,
  );

describe('retention', () => {
  it('keeps rows that are not rolled up yet, for 7 more days at most', async () => {
    await addDone(36.9, 37.1, 20);
    await addMonitors();
    await database.sql(
      `insert into punctual.monitor_checks (monitor_id, at, region, verdict) select 1, at, 'main', 'up' from unnest($1::timestamptz[]) at`,
      [[22, 20].map(ago)],
    );
    expect(await prune()).toMatchObject({ rows: 1, checks: 1, more: false });
    await rollUp();
    expect(await prune()).toMatchObject({ rows: 1, checks: 1, more: false });
    expect(await database.sql('select from punctual.jobs')).toHaveLength(1);
  });

  it('leaves the figures of days whose rows it deleted as they are', async () => {
    const rolled = async (day: string, queue = 'jobs') =>
      (await rollUp(day)).find((step) => step.queue === queue);
    await addDone(31, 31, 29, 29);
    await rollUp();
    const before = await figures();
    expect(before).toHaveLength(2);
    expect(await prune()).toMatchObject({ rows: 2 });
    await rollUp();
    expect(await figures()).toEqual(before);
    // The other queues still have all their rows.
    expect(await rolled('2026-05-31')).toMatchObject({ rows: null, first_day: '2026-06-01' });
    expect(await rolled('2026-05-31', 'posts')).toMatchObject({ rows: 0, first_day: null });
    expect(await rolled('2026-06-01')).toMatchObject({ rows: 2 });
    await database.sql(`update punctual.rollups set pruned_until = '2026-06-03T12:00:00Z'`);
    await expect(rollUp('2026-06-03')).rejects.toMatchObject({
      code: 'PT409',
      message: expect.stringContaining('The first day that can be rolled up is 2026-06-04'),
    });
    await expect(rollUp('2026-07-01')).rejects.toMatchObject({ code: '22023' });
    expect(await figures()).toEqual(before);
  });

  it('keeps each kind of data for its own number of days, or for ever if that is null', async () => {
    await addMonitors();
    for (const statement of [
      `monitor_hours (monitor_id, hour) select 1 + n % 2, '${now}'::timestamptz - n * interval '1 day' from generate_series(28, 33) n`,
      `incidents (monitor_id, started_at, opened_at, closed_at, regions) values (1, '2024-01-01', '2024-01-01', '2024-01-02', '{}'),
         (1, '2026-01-01', '2026-01-01', '2026-01-02', '{}'), (2, '2024-01-01', '2024-01-01', null, '{}')`,
      `history (queue, row_id, at, event) values ('jobs', '1', '2026-05-01', 'dead'), ('monitors', '1', '2026-05-01', 'retry'),
         ('monitors', '1', '2025-05-01', 'retry')`,
      `daily_outcomes (day, queue, outcome, is_total, rows) values ('2024-01-01', 'jobs', 'done', true, 1), ('2026-01-01', 'jobs', 'done', true, 1)`,
      `daily_checks values ('2024-01-01', 1, 1, 1, 0, 0, 1)`,
    ])
      await database.sql(`insert into punctual.${statement}`);
    await database.sql('update punctual.monitors set is_active = false where id = 2');
    await database.sql('update punctual.settings set incidents_days = null');
    await rollUp();
    const kept = { incidents: 0, more: false };
    expect(await prune()).toMatchObject({ hours: 2, history: 2, days: 2, rows: 0, ...kept });
    await database.sql('update punctual.settings set incidents_days = 100, monitor_hours_days = 1');
    expect(await prune(2)).toMatchObject({ hours: 2, incidents: 2, more: true });
    expect(await prune()).toMatchObject({ hours: 2, ...kept });
    expect(await database.sql('select from punctual.monitors')).toHaveLength(2);
  });

  it('refuses 0 days and more than 36,500, and prunes with 36,500', async () => {
    const columns = await database.sql(
      `select relname as table, attname as name from pg_attribute a join pg_class c on c.oid = a.attrelid
        where a.attrelid in ('punctual.queues'::regclass, 'punctual.settings'::regclass) and attname like '%\\_days'`,
    );
    expect(columns).toHaveLength(12);
    for (const { table, name } of columns) {
      const keep = (days: number) => database.sql(`update punctual.${table} set ${name} = ${days}`);
      for (const days of [0, 36_501, 2_147_483_647])
        await expect(keep(days)).rejects.toMatchObject({ code: '23514' });
      await keep(36_500);
    }
    await rollUp();
    expect(await prune()).toMatchObject({ problems: [], more: false });
  });

  it('reports a queue whose rows another table references, and prunes the others', async () => {
    await addDone(31);
    await sql.addDm(await sql.addAccount(), { status: 'sent', finished_at: ago(31) });
    await database.sql('create table public.notes (job bigint references punctual.jobs)');
    try {
      await database.sql('insert into public.notes select id from punctual.jobs');
      await rollUp();
      expect(await prune()).toMatchObject({
        rows: 1,
        problems: [{ queue: 'jobs', problem: expect.stringContaining('notes') }],
        more: false,
      });
    } finally {
      await database.sql('drop table public.notes');
    }
  });

  it('keeps a message that a person decided was sent while an uncertain one to the same addressee is not settled', async () => {
    const account = await sql.addAccount();
    const sent = await sql.addUnknown(account);
    const twin = await sql.addUnknown(account);
    sql.pass(3_600);
    await sql.resolve(sent.id, 'done');
    sql.pass(60 * 86_400);
    const pruneLater = async () =>
      (await database.rpc('prune', { p_limit: 1_000, p_now: sql.now })) as object;
    expect(await pruneLater()).toMatchObject({ rows: 0 });
    await sql.resolve(twin.id, 'dead');
    expect(await pruneLater()).toMatchObject({ rows: 1 });
    expect(await sql.dm(sent.id)).toBeUndefined();
  });

  it('deletes in bounded steps beside ticks of the same queue, and spares young rows and theirs', async () => {
    sql.setNow(now);
    const insertJobs = `insert into punctual.jobs (name, status, finished_at, run_at) select`;
    const series = (count: number) => `from generate_series(1, ${count}) n`;
    await database.sql(
      `${insertJobs} 'old', case when n % 10 = 0 then 'failed' else 'done' end, $1::timestamptz - n * interval '1 s', $2 ${series(3_000)}`,
      [ago(31), ago(32)],
    );
    await database.sql(`${insertJobs} 'young', 'done', $1, $1 ${series(200)}`, [ago(29)]);
    await database.sql(`${insertJobs} 'due', 'pending', null, $1 ${series(200)}`, [ago(60)]);
    await database.sql('update punctual.queues set batch_limit = null');
    await rollUp();
    const done: string[] = [];
    const tick = sql.tick({ queue: 'jobs', partition: 'default' });
    let pruned = 0;
    for (let more = true; more; ) {
      const { rows, claimId: claim_id } = await tick.claim(15);
      const step = await prune(250);
      expect(step.rows).toBeLessThanOrEqual(2 * 250);
      pruned += step.rows ?? 0;
      more = step.more;
      const { settled } = await tick.settle(rows.map(({ id }) => ({ id, claim_id, outcome: 'done' })));
      expect(settled).toMatchObject({ done: rows.length, lost: 0 });
      done.push(...rows.map(({ id }) => id));
    }
    await tick.close();
    expect([pruned, new Set(done).size]).toEqual([3_000, done.length]);
    expect(
      await database.sql('select name, status, count(*) as n from punctual.jobs group by 1, 2 order by 1, 2'),
    ).toEqual([
      { name: 'due', status: 'done', n: done.length },
      { name: 'due', status: 'pending', n: 200 - done.length },
      { name: 'young', status: 'done', n: 200 },
    ]);
  });
});
