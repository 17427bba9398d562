import { beforeEach, describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const call = (fn: string, args: object) => database.rpc(fn, { ...args, p_now: sql.now }) as Promise<any>;
const pause = (args: object = {}) => call('pause_queue', { p_queue: 'jobs', p_reason: 'moving', ...args });
const resume = (args: object = {}) => call('resume_queue', { p_queue: 'jobs', ...args });
const acts = () => database.sql('select act, by, target, details, note from punctual.audit order by id');
const instant = (at: string) => at.replace('.000Z', '+00:00');
const tick = () => sql.tick({ queue: 'jobs', partition: 'default' });

beforeEach(async () => {
  await database.sql(`insert into punctual.jobs (name, run_at) values ('a', $1)`, [sql.now]);
});

/** Returns whether each of those who ask takes the queue of jobs as paused. */
async function whoSeesAPause(): Promise<Record<string, boolean>> {
  const { queues } = await call('read_stats', {});
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  const jobs = queues.find(({ name }: any) => name === 'jobs');
  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  const listed = (await call('list_queues', {})).find(({ name }: any) => name === 'jobs');
  const { waits } = await call('explain_row', { p_queue: 'jobs', p_id: '1' });
  const [due] = await call('list_due_partitions', { p_queue: 'jobs' });
  const { paused } = await tick().exchange({ want: 0, close: true });
  return {
    stats: jobs.paused_at !== null,
    list: listed.paused_at !== null,
    explanation: waits.some(({ kind }: { kind: string }) => kind === 'queue_paused'),
    due: due.due_seconds === null,
    exchange: paused !== null,
  };
}
const all = (paused: boolean) => ({
  ...{ stats: paused, list: paused, explanation: paused, due: paused, exchange: paused },
});

describe('a pause', () => {
  it('without an end lasts until somebody resumes', async () => {
    expect(await pause({ p_by: 'Mira' })).toMatchObject({
      queue: 'jobs',
      partition: null,
      settings: { concurrency: 5 },
      ...{ paused_at: instant(sql.now), paused_until: null, paused_reason: 'moving' },
    });
    sql.pass(365 * 86_400);
    expect(await whoSeesAPause()).toEqual(all(true));
    expect(await resume({ p_by: 'Ola' })).toMatchObject({ paused_at: null, paused_reason: null });
    expect(await whoSeesAPause()).toEqual(all(false));
    expect(await acts()).toEqual([
      { act: 'pause_queue', by: 'Mira', target: null, details: { paused_until: null }, note: 'moving' },
      { act: 'resume_queue', by: 'Ola', target: null, details: { was: 'moving' }, note: null },
    ]);
  });

  it('with an end is over by itself at that instant, for everybody who asks', async () => {
    const until = sql.at(600);
    expect(await pause({ p_until: until })).toMatchObject({ paused_until: instant(until) });
    sql.pass(599);
    expect(await whoSeesAPause()).toEqual(all(true));
    sql.pass(1);
    expect(await whoSeesAPause()).toEqual(all(false));
    expect((await tick().claim()).rows).toHaveLength(1);
  });

  it('with an end says when the next tick is worthwhile, and one without does not', async () => {
    const nextDue = async () => (await tick().close()).next_due_in_ms;
    expect(await nextDue()).toBe(0);
    await pause({ p_until: sql.at(600) });
    expect(await nextDue()).toBe(600_000);
    await pause({ p_partition: 'default', p_until: sql.at(900) });
    expect(await nextDue()).toBe(900_000);
    await pause();
    expect(await nextDue()).toBeNull();
    await resume();
    await database.sql(`update punctual.jobs set run_at = $1`, [sql.at(7_200)]);
    expect(await nextDue()).toBe(7_200_000);
  });

  it('of a partition pauses no other', async () => {
    await database.sql(`insert into punctual.partitions (queue, partition) values ('jobs', 'other')`);
    await database.sql(`insert into punctual.jobs (name, queue, run_at) values ('a', 'other', $1)`, [
      sql.now,
    ]);
    await pause({ p_partition: 'other', p_until: sql.at(600) });
    const other = () => sql.tick({ queue: 'jobs', partition: 'other' }).exchange({ want: 0 });
    expect((await other()).paused).toBe('moving');
    expect((await tick().exchange({ want: 0 })).paused).toBeNull();
    sql.pass(600);
    expect((await other()).paused).toBeNull();
  });

  it('that is set by plain SQL lasts, whatever end an earlier one had', async () => {
    await pause({ p_until: sql.at(600) });
    sql.pass(700);
    await database.sql(`update punctual.queues set paused_at = $1 where name = 'jobs'`, [sql.now]);
    sql.pass(86_400);
    expect(await whoSeesAPause()).toEqual(all(true));
  });

  it('changes its reason and end when it is set again, and keeps its beginning', async () => {
    const since = instant(sql.now);
    await pause({ p_until: sql.at(600) });
    sql.pass(60);
    const again = { paused_at: since, paused_until: null, paused_reason: 'still moving' };
    expect(await pause({ p_reason: 'still moving' })).toMatchObject(again);
    sql.pass(600);
    expect(await whoSeesAPause()).toEqual(all(true));
  });

  it('is refused with an end in the past, and for a queue or partition that does not exist', async () => {
    await expect(pause({ p_until: sql.now })).rejects.toMatchObject({ code: '22023' });
    for (const nowhere of [{ p_queue: 'nothing' }, { p_partition: 'nothing' }])
      for (const act of [pause, resume]) await expect(act(nowhere)).rejects.toMatchObject({ code: 'PT404' });
    expect(await acts()).toEqual([]);
    expect(await whoSeesAPause()).toEqual(all(false));
  });

  it('that there is not is resumed without an act', async () => {
    await resume();
    expect(await acts()).toEqual([]);
  });

  it('of a region ends by itself too', async () => {
    await database.sql(`insert into punctual.regions (name) values ('office')`);
    await database.sql(
      `insert into punctual.partitions (queue, partition) values ('monitors', 'office') on conflict do nothing`,
    );
    await database.sql(`update punctual.partitions set last_tick_at = $1 where partition = 'office'`, [
      sql.at(60),
    ]);
    await call('pause_queue', { p_queue: 'monitors', p_partition: 'office', p_until: sql.at(60) });
    const reason = async () => {
      const states = await database.sql(`select name, reason from punctual.region_states($1)`, [sql.now]);
      return states.find(({ name }) => name === 'office').reason;
    };
    expect(await reason()).toBe('it is paused');
    sql.pass(60);
    expect(await reason()).toBeNull();
  });
});
