import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { installPgmq } from '../support/pgmq-sql.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
  await installPgmq(database);
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  await database.sql('truncate punctual.messages, punctual.set_aside_messages');
  await database.sql('select pgmq.drop_queue(queue_name) from pgmq.list_queues()');
  await create('orders');
  sql = exchanges(database);
});

const create = (name: string) => database.sql('select pgmq.create($1)', [name]);
const add = async (name: string, more = '') => {
  const added = await database.sql(`select punctual.add_message_queue('${name}'${more}) as a`);
  // Tests have many ticks open at once.
  await change('max_ticks = 100');
  return added;
};
const send = async (
  message: unknown = { name: 'x' },
  queue = 'orders',
  delaySeconds = 0,
): Promise<string> => {
  const [{ id }] = await database.sql('select pgmq.send($1, $2::jsonb, $3::integer) as id', [
    queue,
    JSON.stringify(message),
    delaySeconds,
  ]);
  return `${queue}:${id}`;
};
const queued = () => database.sql('select * from pgmq.q_orders order by msg_id');
const archived = () => database.sql('select * from pgmq.a_orders order by msg_id');
const setAside = () => database.sql('select * from punctual.set_aside_messages order by msg_id');
const tick = (changes: object = {}) => sql.tick({ queue: 'pgmq', partition: 'orders', ...changes });
const change = (set: string) => database.sql(`update punctual.queues set ${set} where name = 'pgmq'`);

/** pgmq goes by the database's clock: time passes for it by moving what it has written. */
async function pass(seconds: number) {
  sql.pass(seconds);
  for (const { queue_name } of await database.sql('select * from pgmq.list_queues()')) {
    await database.sql(`update pgmq."q_${queue_name}" set vt = vt - make_interval(secs => $1)`, [seconds]);
  }
}

/** One message under a claim. */
async function running(message?: unknown) {
  const id = await send(message);
  const one = tick();
  const { claimId, rows } = await one.claim();
  return { id, claim_id: claimId, attempt: rows.at(-1)?.attempt, tick: one };
}

/** The calls of the service role: over REST it is who calls; the embedded database has to be told. */
async function asServiceRole<T>(calls: () => Promise<T>): Promise<T> {
  if (process.env.STACK_POSTGRES) return calls();
  await database.sql('set role service_role');
  return calls().finally(() => database.sql('reset role'));
}

async function without<T>(schema: string, calls: () => Promise<T>): Promise<T> {
  await database.sql(`alter schema ${schema} rename to ${schema}_away`);
  return calls().finally(() => database.sql(`alter schema ${schema}_away rename to ${schema}`));
}

const refusal = (call: Promise<unknown>) =>
  call.then(
    () => null,
    ({ message, code, hint }) => ({ message, code, hint }),
  );

describe('add_message_queue', () => {
  it('registers the queue, and the pgmq queue as its partition', async () => {
    const [{ a }] = await add('orders', `, 'place-order', 'delete'`);
    expect(a).toEqual({ queue: 'pgmq', partition: 'orders', job: 'place-order', on_done: 'delete' });
    expect(
      await database.sql(
        `select name, source, delivery, dead_word from punctual.queues where source = 'pgmq'`,
      ),
    ).toEqual([{ name: 'pgmq', source: 'pgmq', delivery: 'at-least-once', dead_word: 'set_aside' }]);
    expect(await database.sql(`select partition from punctual.partitions where queue = 'pgmq'`)).toEqual([
      { partition: 'orders' },
    ]);
  });

  it('run again says anew what the job is, and leaves settings as they are', async () => {
    await add('orders', `, p_settings => '{"batch_limit": 7, "max_attempts": 2}'`);
    await change('concurrency = 9');
    await add('orders', `, 'place-order'`);
    expect(await database.sql('select * from punctual.message_queues')).toMatchObject([
      { job: 'place-order', on_done: 'archive', max_attempts: 2 },
    ]);
    expect(await database.sql(`select batch_limit from punctual.partitions where queue = 'pgmq'`)).toEqual([
      { batch_limit: 7 },
    ]);
    expect(await database.sql(`select concurrency from punctual.queues where name = 'pgmq'`)).toEqual([
      { concurrency: 9 },
    ]);
  });

  it('takes a name in any case for the one queue that pgmq has of it', async () => {
    await create('MixedCase');
    await add('mixedcase');
    await add('MIXEDCASE');
    expect(await database.sql(`select partition from punctual.partitions where queue = 'pgmq'`)).toEqual([
      { partition: 'MixedCase' },
    ]);
    await send({ n: 1 }, 'MixedCase');
    expect((await tick({ partition: 'MixedCase' }).claim()).rows).toMatchObject([{ id: 'MixedCase:1' }]);
  });

  it('without the extension it says how to turn it on', async () => {
    expect(await without('pgmq', () => refusal(add('orders')))).toMatchObject({
      message: 'add_message_queue: the extension pgmq is not turned on',
      hint: "In Supabase's dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;",
    });
  });

  it('without the queue it says how to make it', async () => {
    expect(await refusal(add('others'))).toMatchObject({
      message: 'add_message_queue: there is no pgmq queue "others"',
      hint: "Create it in the dashboard, or: select pgmq.create('others');",
    });
  });

  it('refuses a name by which its messages could not be asked for over HTTP', async () => {
    await create('my orders');
    const refused = await refusal(add('my orders'));
    await database.sql(`select pgmq.drop_queue('my orders')`);
    expect(refused).toMatchObject({
      message: 'add_message_queue: a queue with the name "my orders" cannot be called over HTTP',
    });
  });

  it('refuses a partitioned queue, which cannot be had without another extension', async () => {
    await database.sql(`create table pgmq.q_parted (like pgmq.q_orders) partition by range (msg_id)`);
    await database.sql(`create table pgmq.a_parted (like pgmq.a_orders) partition by range (msg_id)`);
    const refused = await refusal(add('parted'));
    await database.sql('drop table pgmq.q_parted, pgmq.a_parted');
    expect(refused).toMatchObject({
      message: 'add_message_queue: the pgmq queue "parted" is partitioned, which Punctual does not support',
    });
  });

  it.each([
    [`, p_on_done => 'keep'`, 'add_message_queue: p_on_done is "keep", and must be archive or delete'],
    [`, p_on_done => null`, /^add_message_queue: p_on_done is/],
    [`, p_settings => '[]'`, 'add_message_queue: p_settings must be an object'],
    [
      `, p_settings => '{"lease_seconds": 60}'`,
      'add_message_queue: "lease_seconds" is not a setting of a message queue',
    ],
    [
      `, p_settings => '{"max_running": 1}'`,
      'add_message_queue: "max_running" is not a setting of a message queue',
    ],
    [`, p_settings => '{"max_attempts": 0}'`, /violates check constraint/],
    [`, p_job => ''`, /violates check constraint/],
  ])('refuses %s', async (more, message) => {
    expect((await refusal(add('orders', more)))?.message).toMatch(message);
    expect(await database.sql(`select name from punctual.queues where source = 'pgmq'`)).toEqual([]);
  });

  it('refuses later, too, to let only so many messages run: pgmq says which is next', async () => {
    await add('orders');
    const set = database.sql(`update punctual.partitions set max_running = 1 where queue = 'pgmq'`);
    expect((await refusal(set))?.message).toMatch(/violates check constraint/);
  });

  it('leaves alone a table of somebody’s that is the queue "pgmq" already', async () => {
    await database.sql('create table public.theirs (id bigint primary key, at timestamptz)');
    await database.sql(`select punctual.add_queue('pgmq', 'public.theirs', 'at', 'at-least-once')`);
    const refused = await refusal(add('orders'));
    await database.sql('drop table public.theirs');
    expect(refused?.message).toBe(
      'add_message_queue: there is already a queue "pgmq" with a table of its own',
    );
  });

  it('gives the service role that queue, and neither the others nor this function', async () => {
    await create('private');
    await add('orders');
    const may = (table: string) =>
      database.sql(
        `select has_table_privilege('service_role', 'pgmq.' || $1, 'delete') as delete, has_table_privilege('service_role', 'pgmq.' || $1, 'insert') as insert`,
        [table],
      );
    expect(await may('q_orders')).toEqual([{ delete: true, insert: true }]);
    expect(await may('a_orders')).toEqual([{ delete: false, insert: true }]);
    expect(await may('q_private')).toEqual([{ delete: false, insert: false }]);
    expect(
      await database.sql(
        `select has_function_privilege('service_role', 'punctual.add_message_queue(text, text, text, jsonb)', 'execute') as may`,
      ),
    ).toEqual([{ may: false }]);
    // And what it was given does for all that a tick does.
    await asServiceRole(async () => {
      const { rows, claimId } = await tick().claim();
      expect(rows).toEqual([]);
      await database.rpc('read_stats', {});
      expect(claimId).toEqual(expect.any(String));
    });
  });
});

describe('a claim', () => {
  beforeEach(() => add('orders', `, 'place-order'`));

  it('reads messages in pgmq’s order, with all that a handler needs, and hides them for its lease', async () => {
    await send({ n: 1 });
    await send({ n: 2 });
    await send({ n: 3 });
    const { rows } = await tick().claim(2);
    expect(rows).toEqual([
      expect.objectContaining({
        id: 'orders:1',
        attempt: 1,
        timeout_seconds: null,
        row: {
          id: 'orders:1',
          partition: 'orders',
          job: 'place-order',
          message: { n: 1 },
          headers: null,
          msg_id: 1,
          read_ct: 1,
          enqueued_at: expect.any(String),
        },
      }),
      expect.objectContaining({ id: 'orders:2' }),
    ]);
    const [hidden] = await database.sql(
      `select extract(epoch from vt - clock_timestamp())::integer as seconds from pgmq.q_orders where msg_id = 1`,
    );
    expect(hidden.seconds).toBeOneOf([90, 91]);
    expect(await database.sql(`select msg_id from pgmq.read('orders', 30, 10)`)).toEqual([{ msg_id: 3 }]);
  });

  it('hides a message for a limit that is longer than the lease, whatever pgmq rounds', async () => {
    await send();
    const before = Date.now();
    await tick({ limit_seconds: 300.5 }).claim();
    const [{ vt }] = await queued();
    expect(Date.parse(vt) - before).toBeGreaterThanOrEqual(330_500);
  });

  it('leaves a delayed message until it is visible, and says when that will be', async () => {
    await send({}, 'orders', 40);
    const first = await tick().exchange({ want: 5, close: true });
    expect(first.rows).toEqual([]);
    expect(first.next_due_in_ms).toBeGreaterThan(38_000);
    expect(first.next_due_in_ms).toBeLessThanOrEqual(40_000);
    await pass(40);
    expect((await tick().claim()).rows).toHaveLength(1);
  });

  it('does not count a message that is being handled as the next that falls due', async () => {
    const { tick: one } = await running();
    expect(await one.close()).toMatchObject({ due: 0, next_due_in_ms: null });
  });

  it('sent again after a lost answer gives the same messages, and reads none twice', async () => {
    await send();
    const one = tick();
    const first = await one.exchange({ seq: 1, want: 5 });
    const again = await one.exchange({ seq: 1, want: 5 });
    expect(again.rows).toEqual(first.rows);
    expect(await queued()).toMatchObject([{ read_ct: 1 }]);
  });

  it('that is released costs no attempt', async () => {
    await send();
    const one = tick();
    const { rows, claimId } = await one.claim();
    const records = rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'release' }));
    const reply = await one.exchange({ outcomes: { records }, want: 5 });
    expect(reply.settled).toMatchObject({ released: 1 });
    expect(reply.rows).toMatchObject([{ id: 'orders:1', attempt: 1 }]);
    expect(await queued()).toMatchObject([{ read_ct: 2 }]);
  });

  it('leaves what another consumer has read, until its time is over', async () => {
    await send();
    await database.sql(`select * from pgmq.read('orders', 30, 10)`);
    expect((await tick().claim()).rows).toEqual([]);
    await pass(30);
    expect((await tick().claim()).rows).toMatchObject([{ attempt: 1, row: { read_ct: 2 } }]);
  });

  it('in a paused partition reads nothing', async () => {
    await send();
    await database.sql(`update punctual.partitions set paused_at = $1 where queue = 'pgmq'`, [sql.now]);
    expect((await tick().claim()).rows).toEqual([]);
    expect(await queued()).toMatchObject([{ read_ct: 0 }]);
  });

  it('of a partition that somebody wrote by hand says what to run', async () => {
    await create('by_hand');
    await database.sql(`insert into punctual.partitions (queue, partition) values ('pgmq', 'by_hand')`);
    expect(await refusal(tick({ partition: 'by_hand' }).claim())).toMatchObject({
      code: 'PT404',
      message: expect.stringContaining(`select punctual.add_message_queue('by_hand');`),
    });
  });
});

describe('an outcome', () => {
  beforeEach(() => add('orders'));

  it('done: the message is archived', async () => {
    const { id, claim_id, tick: one } = await running({ name: 'x', payload: 7 });
    const { settled } = await one.exchange({ outcomes: { done: [{ claim_id, ids: [id] }] } });
    expect(settled).toMatchObject({ done: 1, lost: 0, exceptions: [] });
    expect(await queued()).toEqual([]);
    expect(await archived()).toMatchObject([{ msg_id: 1, message: { name: 'x', payload: 7 } }]);
  });

  it('done, where the queue says delete: it is deleted', async () => {
    await add('orders', `, p_on_done => 'delete'`);
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'done' }]);
    expect([await queued(), await archived()]).toEqual([[], []]);
  });

  it('retry: visible again after its delay, with the attempt counted', async () => {
    const { id, claim_id, tick: one } = await running();
    const { settled } = await one.settle([
      { id, claim_id, outcome: 'retry', error: 'no connection', delay_seconds: 39.5 },
    ]);
    expect(settled).toMatchObject({ retried: 1, exceptions: [] });
    await pass(39);
    expect((await one.claim()).rows).toEqual([]);
    await pass(1);
    expect((await one.claim()).rows).toMatchObject([{ id, attempt: 2 }]);
    expect(await sql.history(id)).toEqual([['retry', 'no connection']]);
  });

  it('retry of the last attempt: set aside with its text and its reason, out of pgmq’s queue and not in its archive', async () => {
    await change('max_attempts = 1');
    await database.sql(`select pgmq.send('orders', '{"n": 1}'::jsonb, '{"from": "shop"}'::jsonb)`);
    const one = tick();
    const { claimId } = await one.claim();
    const record = {
      id: 'orders:1',
      claim_id: claimId,
      outcome: 'retry',
      error: 'no connection',
      delay_seconds: 9,
    };
    expect((await one.settle([record])).settled).toMatchObject({
      dead: 1,
      retried: 0,
      exceptions: [{ id: 'orders:1', verdict: 'applied', outcome: 'dead' }],
    });
    expect([await queued(), await archived()]).toEqual([[], []]);
    expect(await setAside()).toMatchObject([
      {
        partition: 'orders',
        msg_id: 1,
        message: { n: 1 },
        headers: { from: 'shop' },
        attempts: 1,
        read_ct: 1,
        last_error: 'no connection',
        cancelled_at: null,
      },
    ]);
    expect(await sql.history('orders:1')).toEqual([['dead', 'no connection']]);
  });

  it('max_attempts of the message queue goes before the registry’s', async () => {
    await add('orders', `, p_settings => '{"max_attempts": 1}'`);
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 9 }]);
    expect(await setAside()).toHaveLength(1);
  });

  it('retry after a provider’s limit, and release: no attempt is counted, though pgmq has counted the read', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: one } = await running();
    const limited = { outcome: 'retry', error: 'too many', delay_seconds: 30, rate_limited: true };
    const { settled } = await one.settle([{ id, claim_id, ...limited }]);
    expect(settled).toMatchObject({ retried: 1, limited: 1 });
    await pass(30);
    const second = await one.claim();
    expect(second.rows).toMatchObject([{ id, attempt: 1, row: { read_ct: 2 } }]);
    const released = await one.settle([{ id, claim_id: second.claimId, outcome: 'release' }], { want: 5 });
    expect(released.settled).toMatchObject({ released: 1 });
    expect(released.rows).toMatchObject([{ id, attempt: 1, row: { read_ct: 3 } }]);
  });

  it.each(['dead', 'unknown'])('%s: set aside at once', async (outcome) => {
    const { id, claim_id, tick: one } = await running();
    const { settled } = await one.settle([{ id, claim_id, outcome, error: 'so it was' }]);
    expect(settled).toMatchObject({ dead: 1, unknown: 0 });
    expect(await setAside()).toMatchObject([{ last_error: 'so it was' }]);
  });

  it('again: visible after its time, with attempts from the beginning', async () => {
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'again', delay_seconds: 60 }]);
    await pass(60);
    expect((await tick().claim()).rows).toMatchObject([{ id, attempt: 1 }]);
  });

  it('told twice is `already`, and done once', async () => {
    for (const [outcome, told] of [
      ['done', 'done'],
      ['retry', 'retry'],
      ['dead', 'dead'],
      ['release', 'release'],
      ['again', 'again'],
      ['unknown', 'dead'],
    ] as const) {
      const { id, claim_id, tick: one } = await running();
      const record = { id, claim_id, outcome, error: 'e', delay_seconds: 9_000 };
      await one.settle([record]);
      const before = [await queued(), await archived(), await setAside()];
      const { settled } = await one.settle([record]);
      expect(settled).toMatchObject({ lost: 0, exceptions: [{ id, verdict: 'already', outcome: told }] });
      expect([await queued(), await archived(), await setAside()]).toEqual(before);
      await database.sql('delete from pgmq.q_orders');
    }
  });

  it('of a message of no form that is known here is lost, and takes no other with it', async () => {
    const { id, claim_id, tick: one } = await running();
    const records = [id, 'orders', 'orders:99', 'orders:x', '99999999999999999999'].map((row) => ({
      id: row,
      claim_id,
      outcome: 'done',
    }));
    const { settled } = await one.settle(records);
    expect(settled).toMatchObject({ done: 1, lost: 4 });
    expect(settled.exceptions.map((one) => one.verdict)).toEqual(['lost', 'lost', 'lost', 'lost']);
  });
});

describe('a worker that is late', () => {
  beforeEach(() => add('orders'));

  it('whose message was read again since: lost, and nothing is archived', async () => {
    const { id, claim_id, tick: late } = await running();
    await pass(91);
    await tick().claim(); // sweeps; the message is visible after its backoff
    await pass(120);
    const { rows } = await tick().claim();
    expect(rows).toMatchObject([{ id, attempt: 2 }]);
    for (const outcome of ['done', 'retry', 'dead', 'release', 'again']) {
      const { settled } = await late.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 0 }]);
      expect(settled).toMatchObject({
        [outcome === 'release' ? 'released' : 'lost']: 1,
        exceptions: [{ id, verdict: 'lost' }],
      });
    }
    expect([await archived(), await setAside()]).toEqual([[], []]);
    const [message] = await queued();
    expect(Date.parse(message.vt) - Date.now()).toBeGreaterThan(80_000);
  });

  it('whose message nobody has taken since: its `done` counts, before a sweep and after', async () => {
    for (const isSwept of [false, true]) {
      const { id, claim_id, tick: late } = await running();
      await pass(91);
      if (isSwept) expect((await tick().claim()).swept).toBe(1);
      const { settled } = await late.settle([{ id, claim_id, outcome: 'done' }]);
      expect(settled).toMatchObject({ done: 1, exceptions: [] });
      expect(await queued()).toEqual([]);
    }
    expect(await archived()).toHaveLength(2);
  });

  it('whose message was swept: its failure is counted already', async () => {
    const { id, claim_id, tick: late } = await running();
    await pass(91);
    await tick().claim();
    const [before] = await queued();
    const { settled } = await late.settle([
      { id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 900 },
    ]);
    expect(settled).toMatchObject({ lost: 1 });
    expect(await queued()).toEqual([before]);
  });

  it('whose message was set aside meanwhile: its `done` is the truth, and the message is archived', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: late } = await running();
    await pass(91);
    await tick().claim();
    expect(await setAside()).toHaveLength(1);
    const { settled } = await late.settle([{ id, claim_id, outcome: 'done' }]);
    expect(settled).toMatchObject({ done: 1, exceptions: [] });
    expect([await queued(), await setAside()]).toEqual([[], []]);
    expect(await archived()).toMatchObject([{ msg_id: 1 }]);
  });

  it('whose queue was dropped and made anew meanwhile: the message that has its number now is not taken for it', async () => {
    const { id, claim_id, tick: late } = await running();
    await late.settle([{ id, claim_id, outcome: 'dead', error: 'no' }]);
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
    await add('orders');
    await send({ name: 'another' });
    expect((await late.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({ done: 0 });
    expect([await archived(), await queued()]).toMatchObject([
      [],
      [{ msg_id: 1, message: { name: 'another' } }],
    ]);
    expect(await setAside()).toHaveLength(1);
  });

  it('whose message somebody threw away meanwhile: it stays thrown away', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: late } = await running();
    await pass(91);
    await tick().claim();
    await database.rpc('resolve_row', { p_queue: 'pgmq', p_id: id, p_decision: 'cancelled' });
    expect((await late.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({ done: 0 });
    expect(await archived()).toEqual([]);
  });
});

describe('another consumer of the same pgmq queue', () => {
  beforeEach(() => add('orders'));

  it('that reads a message after our lease keeps it: a late outcome is lost, and no sweep shows it early', async () => {
    const { id, claim_id, tick: late } = await running();
    await pass(92);
    expect(await database.sql(`select msg_id from pgmq.read('orders', 500, 1)`)).toEqual([{ msg_id: 1 }]);
    const before = await queued();
    expect((await late.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({ lost: 1 });
    expect(await tick().claim()).toMatchObject({ swept: 1, rows: [] });
    for (const outcome of ['done', 'retry', 'dead', 'release']) {
      const { settled } = await late.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 0 }]);
      expect(settled).toMatchObject({ [outcome === 'release' ? 'released' : 'lost']: 1 });
    }
    expect(await queued()).toEqual(before);
    expect([await archived(), await setAside()]).toEqual([[], []]);
  });

  it('that takes a message out under our lease: our outcome is lost, and the sweep forgets it', async () => {
    for (const take of ['delete', 'archive']) {
      const { id, claim_id, tick: one } = await running();
      await database.sql(`select pgmq.${take}('orders', $1::bigint)`, [id.split(':')[1]]);
      for (const outcome of ['done', 'retry', 'dead', 'release']) {
        const { settled } = await one.settle([{ id, claim_id, outcome, error: 'e', delay_seconds: 0 }]);
        expect(settled).toMatchObject({ [outcome === 'release' ? 'released' : 'lost']: 1 });
      }
      await pass(91);
      await tick().claim();
      expect(await database.sql('select * from punctual.messages')).toEqual([]);
    }
    expect(await archived()).toHaveLength(1);
    expect(await setAside()).toEqual([]);
  });

  it('that reads between our attempts takes none of them away', async () => {
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    await pass(1);
    await database.sql(`select * from pgmq.read('orders', 10, 1)`);
    await pass(10);
    expect((await one.claim()).rows).toMatchObject([{ id, attempt: 2, row: { read_ct: 3 } }]);
  });
});

describe('a process that was killed', () => {
  beforeEach(() => add('orders'));

  /** A tick that takes what there is, and is never heard of again. Answers the attempts by id. */
  async function killed(): Promise<Record<string, number>> {
    const { rows } = await tick().claim();
    await pass(91);
    return Object.fromEntries(rows.map((row) => [row.id, row.attempt]));
  }

  it('costs an attempt; after the last the message is set aside with the reason, and is never read again', async () => {
    await change('max_attempts = 3, backoff_base_seconds = 1, backoff_cap_seconds = 1');
    const id = await send({ n: 1 });
    const attempts: (number | undefined)[] = [];
    for (let kill = 0; kill < 6; kill++) {
      attempts.push((await killed())[id]);
      await tick().claim();
      await pass(1);
    }
    expect(attempts).toEqual([1, 2, 3, undefined, undefined, undefined]);
    expect(await queued()).toEqual([]);
    expect(await setAside()).toMatchObject([
      { msg_id: 1, attempts: 3, last_error: 'the tick died while this message was being handled' },
    ]);
  });

  it('its messages are visible again after a backoff of each one’s own, which grows', async () => {
    for (let n = 0; n < 20; n++) await send();
    await killed();
    expect(await tick().claim()).toMatchObject({ swept: 20 });
    const waits = async () =>
      (
        await database.sql(
          'select extract(epoch from vt - clock_timestamp())::integer as s from pgmq.q_orders',
        )
      ).map((row) => row.s);
    const first = await waits();
    expect(Math.max(...first)).toBeLessThanOrEqual(120);
    expect(new Set(first).size).toBeGreaterThan(12);
    await pass(120);
    await killed();
    await tick().claim();
    const second = await waits();
    expect(Math.max(...second)).toBeGreaterThan(120);
    expect(Math.max(...second)).toBeLessThanOrEqual(480);
  });

  it('a message that no sweep has come to yet is not given to a fourth process after three', async () => {
    await change('max_attempts = 3');
    const id = await send();
    // What the exchange does, without its sweep.
    const claim = async () => {
      const [{ rows }] = await database.sql(
        `select punctual.claim_messages(q, 'orders', gen_random_uuid(), 5, $1::timestamptz + interval '90 seconds', $1) as rows
           from punctual.queues q where name = 'pgmq'`,
        [sql.now],
      );
      await pass(91);
      return rows.map((row: { attempt: number }) => row.attempt);
    };
    expect([await claim(), await claim(), await claim(), await claim()]).toEqual([[1], [2], [3], []]);
    expect(await setAside()).toHaveLength(1);
    expect(await sql.history(id)).toEqual([['swept', 'the tick died while this message was being handled']]);
  });

  it('sweeps two hundred at a time', async () => {
    await change('batch_limit = null');
    await database.sql(`select pgmq.send_batch('orders', array_fill('{}'::jsonb, '{250}'))`);
    await tick().claim(250);
    await pass(91);
    expect((await tick().claim(1)).swept).toBe(200);
  });
});

describe('lines about messages', () => {
  beforeEach(() => add('orders'));

  it('are kept for an hour after the end, for whoever tells it twice', async () => {
    const { id, claim_id, tick: one } = await running();
    const record = { id, claim_id, outcome: 'done' };
    await one.settle([record]);
    await pass(3_599);
    await tick().claim();
    expect((await one.settle([record])).settled).toMatchObject({ exceptions: [{ verdict: 'already' }] });
    await pass(2);
    await tick().claim();
    expect(await database.sql('select * from punctual.messages')).toEqual([]);
  });

  it('say nothing of a queue that was dropped and made anew, whose messages count from 1 again', async () => {
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 0 }]);
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
    await add('orders');
    expect(await send()).toBe(id);
    expect((await one.claim()).rows).toMatchObject([{ id, attempt: 1 }]);
    expect((await one.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({ lost: 1 });
  });
});

describe('operators', () => {
  beforeEach(() => add('orders', `, 'place-order'`));

  // biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
  const page = (state: string, more: object = {}): Promise<any> =>
    database.rpc('list_rows', { p_queue: 'pgmq', p_state: state, p_limit: 10, ...more, p_now: sql.now });
  const list = async (state: string) => (await page(state)).items;
  const explain = (id: string) => database.rpc('explain_row', { p_queue: 'pgmq', p_id: id, p_now: sql.now });
  const resolve = (id: string, decision: string) =>
    database.rpc('resolve_row', {
      p_queue: 'pgmq',
      p_id: id,
      p_decision: decision,
      p_by: 'Ann',
      p_note: 'as agreed',
      p_now: sql.now,
    });
  /** One message in each state: done, set aside, running, delayed. */
  async function oneOfEach() {
    const ended = await running({ n: 'done' });
    await ended.tick.settle([{ id: ended.id, claim_id: ended.claim_id, outcome: 'done' }]);
    const dead = await running({ n: 'dead' });
    await dead.tick.settle([{ id: dead.id, claim_id: dead.claim_id, outcome: 'dead', error: 'so it was' }]);
    const busy = await running({ n: 'busy' });
    const later = await send({ n: 'later' }, 'orders', 60);
    return { done: ended.id, dead: dead.id, running: busy.id, pending: later };
  }

  it('see every message in its state, counted and listed', async () => {
    const ids = await oneOfEach();
    const stats = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; states: Record<string, { count: number }> }[];
    };
    const states = stats.queues.find((queue) => queue.name === 'pgmq')?.states ?? {};
    expect(Object.fromEntries(Object.entries(states).map(([state, { count }]) => [state, count]))).toEqual({
      pending: 1,
      running: 1,
      done: 1,
      dead: 1,
      unknown: 0,
      cancelled: 0,
    });
    for (const [state, id] of Object.entries(ids)) {
      expect(await list(state)).toEqual([
        {
          id,
          status: state === 'dead' ? 'set_aside' : state,
          due_at: state === 'pending' || state === 'running' ? expect.any(String) : null,
          attempts: state === 'pending' ? 0 : 1,
          last_error: state === 'dead' ? 'so it was' : null,
          finished_at: state === 'done' || state === 'dead' ? expect.any(String) : null,
          account: null,
          reconcile: null,
          row: expect.objectContaining({
            id,
            partition: 'orders',
            job: 'place-order',
            message: expect.anything(),
          }),
        },
      ]);
    }
    expect(await list('unknown')).toEqual([]);
    expect(await list('set_aside')).toHaveLength(1);
  });

  it('see them page by page, over all queues', async () => {
    await create('mails');
    await add('mails', `, 'place-order'`);
    for (const name of ['orders', 'mails', 'orders', 'mails', 'orders']) await send({ n: 1 }, name, 60);
    for (let n = 0; n < 3; n++) {
      const { id, claim_id, tick } = await running({ n: 'dead' });
      await tick.settle([{ id, claim_id, outcome: 'dead', error: 'e' }]);
    }
    for (const [state, many] of [
      ['pending', 5],
      ['set_aside', 3],
    ] as const) {
      const all = (await list(state)).map(({ id }: { id: string }) => id);
      expect(all).toHaveLength(many);
      const seen: string[] = [];
      for (let next = null, turned = 0; turned === 0 || next; turned++) {
        const answer = await page(state, { p_limit: 2, p_cursor: next });
        seen.push(...answer.items.map(({ id }: { id: string }) => id));
        next = answer.next;
      }
      expect(seen).toEqual(all);
    }
  });

  it('are told of each message why it is not done', async () => {
    const ids = await oneOfEach();
    expect(await explain(ids.pending)).toMatchObject({
      queue: 'pgmq',
      id: ids.pending,
      state: 'pending',
      attempts: 0,
      max_attempts: 5,
      waits: [{ kind: 'due', text: expect.stringContaining('delayed') }],
      expected_at: expect.any(String),
    });
    await pass(60);
    expect(await explain(ids.pending)).toMatchObject({ waits: [{ kind: 'tick' }] });
    expect(await explain(ids.running)).toMatchObject({
      state: 'running',
      attempts: 1,
      lease_expires_at: expect.any(String),
      waits: [{ kind: 'lease' }],
      tick: { scheduler: 'test' },
    });
    expect(await explain(ids.done)).toMatchObject({
      state: 'done',
      waits: [],
      finished_at: expect.any(String),
    });
    expect(await explain(ids.dead)).toMatchObject({
      state: 'dead',
      status: 'set_aside',
      last_error: 'so it was',
      waits: [{ kind: 'operator' }],
      history: [{ event: 'dead', text: 'so it was' }],
    });
    for (const id of ['orders:99', 'orders', '7', 'others:1']) expect(await explain(id)).toBeNull();
  });

  it('are told of a message of long ago by the archive, and of one that waits for its retry', async () => {
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 50 }]);
    expect(await explain(id)).toMatchObject({ state: 'pending', attempts: 1, waits: [{ kind: 'retry' }] });
    await database.sql('delete from punctual.messages');
    await database.sql(`select pgmq.archive('orders', 1)`);
    expect(await explain(id)).toMatchObject({ state: 'done', waits: [] });
  });

  it('send back what was set aside: under its number, with its headers, and with attempts from the beginning', async () => {
    await change('max_attempts = 1');
    await database.sql(`select pgmq.send('orders', '{"n": 1}'::jsonb, '{"from": "shop"}'::jsonb)`);
    const one = tick();
    const { claimId } = await one.claim();
    await one.settle([{ id: 'orders:1', claim_id: claimId, outcome: 'dead', error: 'e' }]);
    expect(await resolve('orders:1', 'pending')).toEqual({ status: 'pending' });
    expect(await setAside()).toEqual([]);
    const { rows } = await one.claim();
    expect(rows).toMatchObject([
      { id: 'orders:1', attempt: 1, row: { message: { n: 1 }, headers: { from: 'shop' } } },
    ]);
    expect(await sql.history('orders:1')).toEqual([
      ['dead', 'e'],
      ['decided', 'Ann decided: send it back (as agreed)'],
    ]);
    // The worker of before is not heard any more.
    expect(
      (await one.settle([{ id: 'orders:1', claim_id: claimId, outcome: 'done' }])).settled,
    ).toMatchObject({ lost: 1 });
    expect(await send()).toBe('orders:2');
  });

  it('throw it away: it stays to be seen until retention takes it', async () => {
    const { dead } = await oneOfEach();
    expect(await resolve(dead, 'cancelled')).toEqual({ status: 'cancelled' });
    expect(await list('cancelled')).toMatchObject([{ id: dead, status: 'cancelled' }]);
    expect(await list('dead')).toEqual([]);
    await database.rpc('prune', { p_now: sql.at(29 * 86_400) });
    expect(await setAside()).toHaveLength(1);
    await sql.rollUp(sql.at(31 * 86_400));
    expect(await database.rpc('prune', { p_now: sql.at(31 * 86_400) })).toMatchObject({ rows: 1 });
    expect(await setAside()).toEqual([]);
  });

  it('decide nothing else: what is not set aside is pgmq’s, and what is set aside is not done', async () => {
    const ids = await oneOfEach();
    for (const [state, decision] of [
      ['pending', 'cancelled'],
      ['running', 'pending'],
      ['done', 'pending'],
      ['dead', 'done'],
    ] as const) {
      expect(await refusal(resolve(ids[state], decision))).toMatchObject({
        code: 'PT409',
        message: expect.stringContaining(`the row is ${state === 'dead' ? 'set_aside' : state}`),
      });
    }
    for (const id of ['orders:99', 'x']) {
      expect(await refusal(resolve(id, 'pending'))).toMatchObject({ code: 'PT404' });
    }
    await expect(resolve(ids.dead, 'set_aside')).rejects.toMatchObject({ code: 'PT409' });
  });

  it('are told, and nothing is lost, where a queue made anew has given the number to another', async () => {
    const { id, claim_id, tick: one } = await running();
    await one.settle([{ id, claim_id, outcome: 'dead', error: 'e' }]);
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
    await send({ n: 'another' });
    await asOwnerAddAgain();
    expect(await refusal(resolve(id, 'pending'))).toMatchObject({ code: 'PT409' });
    expect(await setAside()).toHaveLength(1);
    expect(await queued()).toMatchObject([{ message: { n: 'another' } }]);
  });
  const asOwnerAddAgain = () => add('orders', `, 'place-order'`);

  it('see which partitions have something due', async () => {
    await create('mails');
    await add('mails');
    await send({}, 'mails');
    await send({}, 'orders', 60);
    const due = () => database.rpc('list_due_partitions', { p_queue: 'pgmq', p_now: sql.now });
    expect(await due()).toMatchObject([{ partition: 'mails', due_seconds: 0 }]);
    await pass(100);
    expect(await due()).toMatchObject([
      { partition: 'mails', due_seconds: 100 },
      { partition: 'orders', due_seconds: 40 },
    ]);
  });

  it('have the healthy ones ticked where nothing is due, and a broken one only where there is no other', async () => {
    await create('mails');
    await add('mails');
    const due = () => database.rpc('list_due_partitions', { p_queue: 'pgmq', p_now: sql.now });
    await database.sql(`select pgmq.drop_queue('mails')`);
    await tick().exchange({ close: true });
    expect(await due()).toMatchObject([{ partition: 'orders' }]);
    await database.sql(`delete from punctual.partitions where queue = 'pgmq' and partition = 'orders'`);
    expect(await due()).toMatchObject([{ partition: 'mails' }]);
  });

  it('see messages whose vt is infinity, which nobody will ever read', async () => {
    await send();
    await database.sql(`update pgmq.q_orders set vt = 'infinity'`);
    const stats = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: Record<string, unknown>[];
    };
    expect(stats.queues.find((queue) => queue.name === 'pgmq')).toMatchObject({
      unreachable: [{ reason: 'vt is infinity in the pgmq queue "orders"', rows: 1 }],
    });
    expect(await explain('orders:1')).toMatchObject({ due_at: null, waits: [{ kind: 'never_due' }] });
    expect(await list('pending')).toMatchObject([{ id: 'orders:1', due_at: null }]);
  });
});

describe('where the extension or the queue is gone', () => {
  beforeEach(async () => {
    await add('orders');
    await running();
  });

  const stats = async () => {
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; states: Record<string, { count: number }>; unreachable: unknown[] }[];
    };
    return queues.find((queue) => queue.name === 'pgmq');
  };

  it('a tick says what to do, and stats answer with the reason', async () => {
    await without('pgmq', async () => {
      expect(await refusal(tick().claim())).toMatchObject({
        code: 'PT404',
        message: expect.stringMatching(/the extension pgmq is not turned on.*create extension pgmq/),
      });
      expect(await stats()).toMatchObject({
        states: { pending: { count: 0 }, done: { count: 0 } },
        unreachable: [{ reason: expect.stringContaining('the extension pgmq is not turned on'), rows: 1 }],
      });
      expect(
        await database.rpc('list_rows', { p_queue: 'pgmq', p_state: 'pending', p_now: sql.now }),
      ).toEqual({ items: [], next: null });
      expect(
        await database.rpc('explain_row', { p_queue: 'pgmq', p_id: 'orders:1', p_now: sql.now }),
      ).toBeNull();
      await database.rpc('prune', { p_now: sql.now });
    });
    await pass(91);
    expect(await tick().claim()).toMatchObject({ swept: 1 });
  });

  it('so for a queue that was dropped', async () => {
    await database.sql(`select pgmq.drop_queue('orders')`);
    expect(await refusal(tick().claim())).toMatchObject({
      code: 'PT404',
      message: expect.stringContaining(
        `there is no pgmq queue "orders" (Create it in the dashboard, or: select pgmq.create('orders');)`,
      ),
    });
    expect(await stats()).toMatchObject({
      unreachable: [{ reason: expect.stringContaining('there is no pgmq queue') }],
    });
  });

  it('so for one that was made anew, and is not the service role’s', async () => {
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
    await asServiceRole(async () => {
      expect(await refusal(tick().claim())).toMatchObject({
        code: 'PT404',
        message: expect.stringMatching(
          /service_role may not use the pgmq queue "orders".*Run again: select punctual.add_message_queue\('orders'\);/,
        ),
      });
      expect(await stats()).toMatchObject({
        unreachable: [{ reason: expect.stringContaining('may not use') }],
      });
    });
    await add('orders');
    expect((await tick().claim()).rows).toEqual([]);
  });
});
