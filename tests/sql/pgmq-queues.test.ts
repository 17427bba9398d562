import { describe, expect, it } from 'vitest';
import { messageQueues } from '../support/message-queues.ts';

const queues = messageQueues();
const { database, sql, create, add, send, tick, asServiceRole, withoutPgmq, stats } = queues;

describe('add_message_queue', () => {
  it('registers the queue with the pgmq queue as its partition; run again it changes the job and keeps the settings', async () => {
    await add('orders', `, p_settings => '{"batch_limit": 7, "max_attempts": 2}'`);
    await queues.change('concurrency = 9');
    const added = await add('orders', `, 'place-order', 'delete'`);
    expect(added).toEqual({ queue: 'pgmq', partition: 'orders', job: 'place-order', on_done: 'delete' });
    const registered = await database.sql(
      `select q.source, q.delivery, q.dead_word, q.concurrency, p.batch_limit, m.job, m.on_done, m.max_attempts from punctual.queues q
         join punctual.partitions p on p.queue = q.name join punctual.message_queues m using (partition) where q.name = 'pgmq'`,
    );
    const words = { source: 'pgmq', delivery: 'at-least-once', dead_word: 'set_aside' };
    const settings = { concurrency: 9, batch_limit: 7, max_attempts: 2 };
    expect(registered).toEqual([{ ...words, ...settings, job: 'place-order', on_done: 'delete' }]);
  });

  it('accepts a name in any case, because pgmq has one queue of that name', async () => {
    await create('MixedCase');
    await add('mixedcase');
    await add('MIXEDCASE');
    await send({ n: 1 }, 'MixedCase');
    expect(await stats()).toMatchObject({ partitions: [{ name: 'MixedCase' }] });
    expect((await tick({ partition: 'MixedCase' }).claim()).rows).toMatchObject([{ id: 'MixedCase:1' }]);
  });

  it.each([
    ['others', '', 'there is no pgmq queue "others"'],
    ['my orders', '', 'a queue with the name "my orders" cannot be called over HTTP'],
    ['parted', '', 'the pgmq queue "parted" is partitioned, which Punctual does not support'],
    ['orders', `, p_on_done => 'keep'`, 'p_on_done is "keep", and must be archive or delete'],
    ['orders', ', p_on_done => null', 'p_on_done is "<NULL>", and must be archive or delete'],
    ['orders', `, p_settings => '[]'`, 'p_settings must be an object'],
    ['orders', `, p_settings => '{"max_running": 1}'`, '"max_running" is not a setting of a message queue'],
    ['orders', `, p_settings => '{"max_attempts": 0}'`, 'violates check constraint'],
    ['orders', `, p_job => ''`, 'violates check constraint'],
  ])('refuses %s%s: %s', async (name, more, message) => {
    for (const table of ['q', 'a'])
      await database.sql(
        `create table if not exists pgmq.${table}_parted (like pgmq.${table}_orders) partition by range (msg_id)`,
      );
    await expect(add(name, more)).rejects.toThrow(message);
    expect(await database.sql(`select name from punctual.queues where source = 'pgmq'`)).toEqual([]);
  });

  it('says how to enable a missing extension', async () => {
    const refused = {
      message: 'add_message_queue: the extension pgmq is not turned on',
      hint: "In Supabase's dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;",
    };
    await withoutPgmq(() => expect(add()).rejects.toMatchObject(refused));
  });

  it('refuses to replace an existing queue "pgmq" that has a table of its own', async () => {
    await database.sql('create table public.theirs (id bigint primary key, at timestamptz)');
    await database.sql(`select punctual.add_queue('pgmq', 'public.theirs', 'at', 'at-least-once')`);
    await expect(add()).rejects.toThrow('there is already a queue "pgmq" with a table of its own');
    await database.sql('drop table public.theirs');
  });

  it('grants the service role that queue, but no other queue and not this function', async () => {
    await create('private');
    await add();
    const [rights] = await database.sql(
      `select array_agg(t || ' ' || r order by t, r) as held,
              has_function_privilege('service_role', 'punctual.add_message_queue(text, text, text, jsonb)', 'execute') as may_add
         from unnest('{q_orders, a_orders, q_private}'::text[]) t, unnest('{insert, delete}'::text[]) r
        where has_table_privilege('service_role', 'pgmq.' || t, r)`,
    );
    expect(rights).toEqual({
      held: ['a_orders insert', 'q_orders delete', 'q_orders insert'],
      may_add: false,
    });
    // The grants are enough for a tick and for the stats.
    await asServiceRole(async () => {
      expect((await tick().claim()).rows).toEqual([]);
      expect(await stats()).toMatchObject({ unreachable: [] });
    });
  });
});

type Calls = () => Promise<void>;
const faults: [fault: string, remedy: string, given: (calls: Calls) => Promise<void>][] = [
  [
    'the extension pgmq is not turned on',
    "In Supabase's dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;",
    withoutPgmq,
  ],
  [
    'there is no pgmq queue "orders"',
    `Create it in the dashboard, or: select pgmq.create('orders');`,
    async (calls) => {
      await database.sql(`select pgmq.drop_queue('orders')`);
      await calls();
    },
  ],
  [
    'service_role may not use the pgmq queue "orders"',
    `It may have been recreated. Run again: select punctual.add_message_queue('orders');`,
    async (calls) => {
      await queues.recreate();
      await asServiceRole(calls);
    },
  ],
];
it.each(faults)('if %s, a tick and the stats say what to do', async (fault, remedy, given) => {
  await add();
  await queues.sendAndClaim();
  await given(async () => {
    const refused = { code: 'PT404', message: expect.stringContaining(`${fault} (${remedy})`) };
    await expect(tick().claim()).rejects.toMatchObject(refused);
    expect(await stats()).toMatchObject({
      states: { pending: { count: 0 }, done: { count: 0 } },
      unreachable: [{ reason: `${fault}: ${remedy}`, rows: 1 }],
    });
    const ofQueue = { p_queue: 'pgmq', p_now: sql.now };
    expect(await database.rpc('list_rows', { ...ofQueue, p_filter: { status: ['pending'] } })).toMatchObject({
      items: [],
    });
    expect(await database.rpc('explain_row', { ...ofQueue, p_id: 'orders:1' })).toBeNull();
    await database.rpc('prune', { p_now: sql.now });
  });
});

it('a tick of a partition that was inserted by hand says which function to run', async () => {
  await create('by_hand');
  await add();
  await database.sql(`insert into punctual.partitions (queue, partition) values ('pgmq', 'by_hand')`);
  await expect(tick({ partition: 'by_hand' }).claim()).rejects.toMatchObject({
    code: 'PT404',
    message: expect.stringContaining(`select punctual.add_message_queue('by_hand');`),
  });
});
