import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
type Answer = any;
const change = (p_settings: object, args: object = {}): Promise<Answer> =>
  database.rpc('change_settings', { p_queue: 'jobs', p_settings, p_by: 'Mira', p_now: sql.now, ...args });
const ofDefault = { p_partition: 'default' };
const acts = () => database.sql('select act, by, queue, target, details, note from punctual.audit');

describe('change_settings', () => {
  it('changes what is named, for the next exchange, and records what differs', async () => {
    const tick = sql.tick({ queue: 'jobs', partition: 'default' });
    const settings = async () => ((await tick.exchange()) as Answer).settings;
    expect(await settings()).toMatchObject({ batch_limit: 30, concurrency: 5 });
    const changes = { batch_limit: null, concurrency: 8, max_ticks: 1 };
    expect(await change(changes, { p_note: 'backlog' })).toMatchObject({
      ...{ queue: 'jobs', partition: null, paused_at: null },
      settings: { ...changes, adaptive: false, retention_days: 30 },
    });
    expect(await settings()).toMatchObject({ batch_limit: null, concurrency: 8 });
    const details = {
      before: { batch_limit: 30, concurrency: 5 },
      after: { batch_limit: null, concurrency: 8 },
    };
    const act = { act: 'change_settings', by: 'Mira', queue: 'jobs' };
    expect(await acts()).toEqual([{ ...act, target: null, details, note: 'backlog' }]);
  });

  it('changes a partition’s own settings, and returns them to the queue’s by null', async () => {
    expect((await change({ concurrency: 2, max_running: 1 }, ofDefault)).settings).toMatchObject({
      ...{ concurrency: 2, max_running: 1, batch_limit: null },
    });
    expect((await change({ concurrency: null }, ofDefault)).settings.concurrency).toBeNull();
    expect(await acts()).toHaveLength(2);
  });

  it('records nothing if nothing differs', async () => {
    await change({ concurrency: 5 });
    await change({});
    expect(await acts()).toEqual([]);
  });

  it.each<[settings: object, field: string, message: RegExp, args?: object]>([
    [{ concurrency: 0 }, 'concurrency', /from 1 to 1,000$/],
    [{ concurrency: 1_001 }, 'concurrency', /from 1 to 1,000$/],
    [{ concurrency: null }, 'concurrency', /from 1 to 1,000$/],
    [{ concurrency: 'many' }, 'concurrency', /from 1 to 1,000$/],
    [{ concurrency: 1.5 }, 'concurrency', /from 1 to 1,000$/],
    [{ batch_limit: 2_147_483_648 }, 'batch_limit', /1 or more/],
    [{ batch_limit: 10_000_000_000 }, 'batch_limit', /1 or more/],
    [{ batch_limit: 0 }, 'batch_limit', /1 or more/],
    [{ adaptive: 'yes' }, 'adaptive', /true or false/],
    [{ budget_seconds: 0 }, 'budget_seconds', /1 or more/],
    [{ max_ticks: 101 }, 'max_ticks', /from 1 to 100/],
    [{ max_continuations: -1 }, 'max_continuations', /from 0 to 1,000/],
    [{ timeout_seconds: 786 }, 'timeout_seconds', /from 1 to 785/],
    [{ lease_seconds: 30 }, 'lease_seconds', /31 or more/],
    [{ max_attempts: 0 }, 'max_attempts', /from 1 to 1,000,000/],
    [{ backoff_base_seconds: 0 }, 'backoff_base_seconds', /1 or more/],
    [{ backoff_base_seconds: 9_999 }, 'backoff_cap_seconds', /at least backoff_base_seconds/],
    [{ retention_days: 36_501 }, 'retention_days', /from 1 to 36,500/],
    [{ paused_at: null }, 'paused_at', /is not a setting: the settings are adaptive, /],
    [{ after_settle: 'f' }, 'after_settle', /is not a setting/],
    [{ max_running: 1 }, 'max_running', /is not a setting/],
    [{ lease_seconds: 90 }, 'lease_seconds', /is not a setting/, ofDefault],
    [{ max_running: 0 }, 'max_running', /1 or more/, ofDefault],
    [{ concurrency: 0 }, 'concurrency', /from 1 to 1,000$/, ofDefault],
  ])('refuses %j, changes nothing and records nothing', async (settings, field, message, args) => {
    const before = await database.sql(
      'select * from punctual.queues q join punctual.partitions p on p.queue = q.name',
    );
    expect(
      await change({ max_attempts: 7, ...settings, ...(args && { max_attempts: undefined }) }, args),
    ).toEqual({
      errors: [{ field, message: expect.stringMatching(message) }],
    });
    expect(
      await database.sql('select * from punctual.queues q join punctual.partitions p on p.queue = q.name'),
    ).toEqual(before);
    expect(await acts()).toEqual([]);
  });

  it('changes the base and the cap of the backoff together', async () => {
    const backoff = { backoff_base_seconds: 7_200, backoff_cap_seconds: 9_000 };
    expect((await change(backoff)).settings).toMatchObject(backoff);
  });

  it('refuses max_running of a partition of pgmq in words', async () => {
    await database.sql(
      `insert into punctual.queues (name, source, table_schema, table_name, id_type, due_column, status_type, pending_word, running_word, done_word,
         dead_word, unknown_word, cancelled_word, delivery)
       select 'pgmq', 'pgmq', 'pgmq', 'q', 'bigint', 'vt', 'text', 'pending', 'running', 'done', 'dead', 'unknown', 'cancelled', 'at-least-once'
        where not exists (select from punctual.queues where name = 'pgmq')`,
    );
    await database.sql(`insert into punctual.partitions (queue, partition) values ('pgmq', 'orders')`);
    expect(await change({ max_running: 1 }, { p_queue: 'pgmq', p_partition: 'orders' })).toEqual({
      errors: [{ field: 'max_running', message: expect.stringContaining('pgmq’s'.replace('’', "'")) }],
    });
  });

  it('raises PT404 for a queue or partition that does not exist', async () => {
    for (const nowhere of [{ p_queue: 'nothing' }, { p_partition: 'nothing' }])
      await expect(change({ concurrency: 1 }, nowhere)).rejects.toMatchObject({ code: 'PT404' });
  });
});
