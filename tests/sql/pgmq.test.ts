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

/** Lets time pass. pgmq reads the database's clock, so its stored times move back instead. */
async function pass(seconds: number) {
  sql.pass(seconds);
  for (const { queue_name } of await database.sql('select * from pgmq.list_queues()')) {
    await database.sql(`update pgmq."q_${queue_name}" set vt = vt - make_interval(secs => $1)`, [seconds]);
  }
}

/** Sends one message and claims it. */
async function sendAndClaim(message?: unknown) {
  const id = await send(message);
  const one = tick();
  const { claimId, rows } = await one.claim();
  return { id, claim_id: claimId, attempt: rows.at(-1)?.attempt, tick: one };
}

/** Runs the calls as the service role. Over REST it is the caller anyway; the embedded database needs `set role`. */
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

  it('run again changes the job and keeps the settings', async () => {
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

  it('accepts a name in any case, because pgmq has one queue of that name', async () => {
    await create('MixedCase');
    await add('mixedcase');
    await add('MIXEDCASE');
    expect(await database.sql(`select partition from punctual.partitions where queue = 'pgmq'`)).toEqual([
      { partition: 'MixedCase' },
    ]);
    await send({ n: 1 }, 'MixedCase');
    expect((await tick({ partition: 'MixedCase' }).claim()).rows).toMatchObject([{ id: 'MixedCase:1' }]);
  });

  it('says how to enable a missing extension', async () => {
    expect(await without('pgmq', () => refusal(add('orders')))).toMatchObject({
      message: 'add_message_queue: the extension pgmq is not turned on',
      hint: "In Supabase's dashboard: Integrations, Queues, Enable. Elsewhere: create extension pgmq;",
    });
  });

  it('says how to create a missing queue', async () => {
    expect(await refusal(add('others'))).toMatchObject({
      message: 'add_message_queue: there is no pgmq queue "others"',
      hint: "Create it in the dashboard, or: select pgmq.create('others');",
    });
  });

  it('refuses a name that cannot be called over HTTP', async () => {
    await create('my orders');
    const refused = await refusal(add('my orders'));
    await database.sql(`select pgmq.drop_queue('my orders')`);
    expect(refused).toMatchObject({
      message: 'add_message_queue: a queue with the name "my orders" cannot be called over HTTP',
    });
  });

  it('refuses a partitioned queue, which needs another extension', async () => {
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

  it('refuses max_running later too, because pgmq chooses the next message', async () => {
    await add('orders');
    const set = database.sql(`update punctual.partitions set max_running = 1 where queue = 'pgmq'`);
    expect((await refusal(set))?.message).toMatch(/violates check constraint/);
  });

  it('refuses to replace an existing queue "pgmq" that has a table of its own', async () => {
    await database.sql('create table public.theirs (id bigint primary key, at timestamptz)');
    await database.sql(`select punctual.add_queue('pgmq', 'public.theirs', 'at', 'at-least-once')`);
    const refused = await refusal(add('orders'));
    await database.sql('drop table public.theirs');
    expect(refused?.message).toBe(
      'add_message_queue: there is already a queue "pgmq" with a table of its own',
    );
  });

  it('grants the service role that queue, but no other queue and not this function', async () => {
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
    // The grants are enough for a tick and for the stats.
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

  it('reads messages in pgmq’s order with the fields that a handler needs, and hides them for its lease', async () => {
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

  it('hides a message for a limit that is longer than the lease, however pgmq rounds', async () => {
    await send();
    const before = Date.now();
    await tick({ limit_seconds: 300.5 }).claim();
    const [{ vt }] = await queued();
    expect(Date.parse(vt) - before).toBeGreaterThanOrEqual(330_500);
  });

  it('leaves a delayed message until it is visible, and returns when that is', async () => {
    await send({}, 'orders', 40);
    const first = await tick().exchange({ want: 5, close: true });
    expect(first.rows).toEqual([]);
    expect(first.next_due_in_ms).toBeGreaterThan(38_000);
    expect(first.next_due_in_ms).toBeLessThanOrEqual(40_000);
    await pass(40);
    expect((await tick().claim()).rows).toHaveLength(1);
  });

  it('does not count a running message as the next due one', async () => {
    const { tick: one } = await sendAndClaim();
    expect(await one.close()).toMatchObject({ due: 0, next_due_in_ms: null });
  });

  it('repeated after a lost response returns the same messages, and reads none twice', async () => {
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
    const response = await one.exchange({ outcomes: { records }, want: 5 });
    expect(response.settled).toMatchObject({ released: 1 });
    expect(response.rows).toMatchObject([{ id: 'orders:1', attempt: 1 }]);
    expect(await queued()).toMatchObject([{ read_ct: 2 }]);
  });

  it('leaves a message that another consumer has read until it is visible again', async () => {
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

  it('in a partition that was inserted by hand says which function to run', async () => {
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

  it('done archives the message', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim({ name: 'x', payload: 7 });
    const { settled } = await one.exchange({ outcomes: { done: [{ claim_id, ids: [id] }] } });
    expect(settled).toMatchObject({ done: 1, lost: 0, exceptions: [] });
    expect(await queued()).toEqual([]);
    expect(await archived()).toMatchObject([{ msg_id: 1, message: { name: 'x', payload: 7 } }]);
  });

  it('done deletes the message if on_done is delete', async () => {
    await add('orders', `, p_on_done => 'delete'`);
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'done' }]);
    expect([await queued(), await archived()]).toEqual([[], []]);
  });

  it('retry shows the message again after its delay, and counts the attempt', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
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

  it('retry of the last attempt sets the message aside with its content and the error, outside pgmq’s queue and archive', async () => {
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

  it('retry uses max_attempts of the message queue before the registry’s', async () => {
    await add('orders', `, p_settings => '{"max_attempts": 1}'`);
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 9 }]);
    expect(await setAside()).toHaveLength(1);
  });

  it('retry after a rate limit, or release, counts no attempt, although pgmq counts the read', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: one } = await sendAndClaim();
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

  it.each(['dead', 'unknown'])('%s sets the message aside at once', async (outcome) => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    const { settled } = await one.settle([{ id, claim_id, outcome, error: 'so it was' }]);
    expect(settled).toMatchObject({ dead: 1, unknown: 0 });
    expect(await setAside()).toMatchObject([{ last_error: 'so it was' }]);
  });

  it('again shows the message after its delay, and counts attempts from the beginning', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'again', delay_seconds: 60 }]);
    await pass(60);
    expect((await tick().claim()).rows).toMatchObject([{ id, attempt: 1 }]);
  });

  it('settled twice is applied once, and counts as `already` the second time', async () => {
    for (const [outcome, applied] of [
      ['done', 'done'],
      ['retry', 'retry'],
      ['dead', 'dead'],
      ['release', 'release'],
      ['again', 'again'],
      ['unknown', 'dead'],
    ] as const) {
      const { id, claim_id, tick: one } = await sendAndClaim();
      const record = { id, claim_id, outcome, error: 'e', delay_seconds: 9_000 };
      await one.settle([record]);
      const before = [await queued(), await archived(), await setAside()];
      const { settled } = await one.settle([record]);
      expect(settled).toMatchObject({ lost: 0, exceptions: [{ id, verdict: 'already', outcome: applied }] });
      expect([await queued(), await archived(), await setAside()]).toEqual(before);
      await database.sql('delete from pgmq.q_orders');
    }
  });

  it('for a malformed or unknown id is lost, and does not affect the others', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
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

describe('a late worker', () => {
  beforeEach(() => add('orders'));

  it('loses its outcome if the message was read again since, and nothing is archived', async () => {
    const { id, claim_id, tick: late } = await sendAndClaim();
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

  it('may settle `done` before and after a sweep if no tick has claimed the message since', async () => {
    for (const isSwept of [false, true]) {
      const { id, claim_id, tick: late } = await sendAndClaim();
      await pass(91);
      if (isSwept) expect((await tick().claim()).swept).toBe(1);
      const { settled } = await late.settle([{ id, claim_id, outcome: 'done' }]);
      expect(settled).toMatchObject({ done: 1, exceptions: [] });
      expect(await queued()).toEqual([]);
    }
    expect(await archived()).toHaveLength(2);
  });

  it('loses its failure if the message was swept, because the sweep counted it', async () => {
    const { id, claim_id, tick: late } = await sendAndClaim();
    await pass(91);
    await tick().claim();
    const [before] = await queued();
    const { settled } = await late.settle([
      { id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 900 },
    ]);
    expect(settled).toMatchObject({ lost: 1 });
    expect(await queued()).toEqual([before]);
  });

  it('may settle `done` for a message that was set aside meanwhile, which archives it', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: late } = await sendAndClaim();
    await pass(91);
    await tick().claim();
    expect(await setAside()).toHaveLength(1);
    const { settled } = await late.settle([{ id, claim_id, outcome: 'done' }]);
    expect(settled).toMatchObject({ done: 1, exceptions: [] });
    expect([await queued(), await setAside()]).toEqual([[], []]);
    expect(await archived()).toMatchObject([{ msg_id: 1 }]);
  });

  it('never settles the message that has its id in a queue recreated meanwhile', async () => {
    const { id, claim_id, tick: late } = await sendAndClaim();
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

  it('cannot settle a message that an operator cancelled meanwhile', async () => {
    await change('max_attempts = 1');
    const { id, claim_id, tick: late } = await sendAndClaim();
    await pass(91);
    await tick().claim();
    await database.rpc('resolve_row', { p_queue: 'pgmq', p_id: id, p_decision: 'cancelled' });
    expect((await late.settle([{ id, claim_id, outcome: 'done' }])).settled).toMatchObject({ done: 0 });
    expect(await archived()).toEqual([]);
  });
});

describe('another consumer of the same pgmq queue', () => {
  beforeEach(() => add('orders'));

  it('keeps a message that it reads after our lease: a late outcome is lost, and no sweep shows the message early', async () => {
    const { id, claim_id, tick: late } = await sendAndClaim();
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

  it('may remove a message under our lease: our outcome is lost, and the sweep deletes its record', async () => {
    for (const take of ['delete', 'archive']) {
      const { id, claim_id, tick: one } = await sendAndClaim();
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

  it('uses up none of our attempts when it reads between them', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 1 }]);
    await pass(1);
    await database.sql(`select * from pgmq.read('orders', 10, 1)`);
    await pass(10);
    expect((await one.claim()).rows).toMatchObject([{ id, attempt: 2, row: { read_ct: 3 } }]);
  });
});

describe('a killed process', () => {
  beforeEach(() => add('orders'));

  /** Claims the visible messages in a tick and lets its lease pass. Returns the attempts by id. */
  async function claimAndDie(): Promise<Record<string, number>> {
    const { rows } = await tick().claim();
    await pass(91);
    return Object.fromEntries(rows.map((row) => [row.id, row.attempt]));
  }

  it('costs an attempt, and after the last one the message is set aside with the reason and never read again', async () => {
    await change('max_attempts = 3, backoff_base_seconds = 1, backoff_cap_seconds = 1');
    const id = await send({ n: 1 });
    const attempts: (number | undefined)[] = [];
    for (let kill = 0; kill < 6; kill++) {
      attempts.push((await claimAndDie())[id]);
      await tick().claim();
      await pass(1);
    }
    expect(attempts).toEqual([1, 2, 3, undefined, undefined, undefined]);
    expect(await queued()).toEqual([]);
    expect(await setAside()).toMatchObject([
      { msg_id: 1, attempts: 3, last_error: 'the tick died while this message was being handled' },
    ]);
  });

  it('leaves messages that are visible again after a growing backoff, different for each', async () => {
    for (let n = 0; n < 20; n++) await send();
    await claimAndDie();
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
    await claimAndDie();
    await tick().claim();
    const second = await waits();
    expect(Math.max(...second)).toBeGreaterThan(120);
    expect(Math.max(...second)).toBeLessThanOrEqual(480);
  });

  it('costs an attempt before any sweep: after three of them a fourth claim gets nothing', async () => {
    await change('max_attempts = 3');
    const id = await send();
    // Claims as an exchange does, without its sweep.
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

  it('has its messages swept 200 at a time', async () => {
    await change('batch_limit = null');
    await database.sql(`select pgmq.send_batch('orders', array_fill('{}'::jsonb, '{250}'))`);
    await tick().claim(250);
    await pass(91);
    expect((await tick().claim(1)).swept).toBe(200);
  });
});

describe('records of messages', () => {
  beforeEach(() => add('orders'));

  it('are kept for 1 hour after the end, for an outcome that is settled twice', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    const record = { id, claim_id, outcome: 'done' };
    await one.settle([record]);
    await pass(3_599);
    await tick().claim();
    expect((await one.settle([record])).settled).toMatchObject({ exceptions: [{ verdict: 'already' }] });
    await pass(2);
    await tick().claim();
    expect(await database.sql('select * from punctual.messages')).toEqual([]);
  });

  it('do not apply to a recreated queue, whose message ids start at 1 again', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
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
  /** Adds one message in each state: done, set aside, running, delayed. Returns their ids. */
  async function addOneOfEach() {
    const ended = await sendAndClaim({ n: 'done' });
    await ended.tick.settle([{ id: ended.id, claim_id: ended.claim_id, outcome: 'done' }]);
    const dead = await sendAndClaim({ n: 'dead' });
    await dead.tick.settle([{ id: dead.id, claim_id: dead.claim_id, outcome: 'dead', error: 'so it was' }]);
    const busy = await sendAndClaim({ n: 'busy' });
    const later = await send({ n: 'later' }, 'orders', 60);
    return { done: ended.id, dead: dead.id, running: busy.id, pending: later };
  }

  it('see every message counted and listed under its state', async () => {
    const ids = await addOneOfEach();
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

  it('see messages page by page, across all queues', async () => {
    await create('mails');
    await add('mails', `, 'place-order'`);
    for (const name of ['orders', 'mails', 'orders', 'mails', 'orders']) await send({ n: 1 }, name, 60);
    for (let n = 0; n < 3; n++) {
      const { id, claim_id, tick } = await sendAndClaim({ n: 'dead' });
      await tick.settle([{ id, claim_id, outcome: 'dead', error: 'e' }]);
    }
    for (const [state, count] of [
      ['pending', 5],
      ['set_aside', 3],
    ] as const) {
      const all = (await list(state)).map(({ id }: { id: string }) => id);
      expect(all).toHaveLength(count);
      const seen: string[] = [];
      for (let next = null, pages = 0; pages === 0 || next; pages++) {
        const response = await page(state, { p_limit: 2, p_cursor: next });
        seen.push(...response.items.map(({ id }: { id: string }) => id));
        next = response.next;
      }
      expect(seen).toEqual(all);
    }
  });

  it('see why each message is not done', async () => {
    const ids = await addOneOfEach();
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

  it('see a message that waits for its retry, and an old one that only the archive has', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'retry', error: 'e', delay_seconds: 50 }]);
    expect(await explain(id)).toMatchObject({ state: 'pending', attempts: 1, waits: [{ kind: 'retry' }] });
    await database.sql('delete from punctual.messages');
    await database.sql(`select pgmq.archive('orders', 1)`);
    expect(await explain(id)).toMatchObject({ state: 'done', waits: [] });
  });

  it('retry a message that was set aside, with its id and headers and its attempts counted from the beginning', async () => {
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
    // The earlier worker's outcome is lost.
    expect(
      (await one.settle([{ id: 'orders:1', claim_id: claimId, outcome: 'done' }])).settled,
    ).toMatchObject({ lost: 1 });
    expect(await send()).toBe('orders:2');
  });

  it('cancel a message that was set aside, and see it until its retention is over', async () => {
    const { dead } = await addOneOfEach();
    expect(await resolve(dead, 'cancelled')).toEqual({ status: 'cancelled' });
    expect(await list('cancelled')).toMatchObject([{ id: dead, status: 'cancelled' }]);
    expect(await list('dead')).toEqual([]);
    await database.rpc('prune', { p_now: sql.at(29 * 86_400) });
    expect(await setAside()).toHaveLength(1);
    await sql.rollUp(sql.at(31 * 86_400));
    expect(await database.rpc('prune', { p_now: sql.at(31 * 86_400) })).toMatchObject({ rows: 1 });
    expect(await setAside()).toEqual([]);
  });

  it('cannot decide on a message that is not set aside, or make one done that is', async () => {
    const ids = await addOneOfEach();
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

  it('get an error and lose nothing if a recreated queue has given the id to another message', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    await one.settle([{ id, claim_id, outcome: 'dead', error: 'e' }]);
    await database.sql(`select pgmq.drop_queue('orders')`);
    await create('orders');
    await send({ n: 'another' });
    await addQueueAgain();
    expect(await refusal(resolve(id, 'pending'))).toMatchObject({ code: 'PT409' });
    expect(await setAside()).toHaveLength(1);
    expect(await queued()).toMatchObject([{ message: { n: 'another' } }]);
  });
  const addQueueAgain = () => add('orders', `, 'place-order'`);

  it('see which partitions have due messages', async () => {
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

  it('get the healthy partitions when nothing is due, and a broken one only if there is no other', async () => {
    await create('mails');
    await add('mails');
    const due = () => database.rpc('list_due_partitions', { p_queue: 'pgmq', p_now: sql.now });
    await database.sql(`select pgmq.drop_queue('mails')`);
    await tick().exchange({ close: true });
    expect(await due()).toMatchObject([{ partition: 'orders' }]);
    await database.sql(`delete from punctual.partitions where queue = 'pgmq' and partition = 'orders'`);
    expect(await due()).toMatchObject([{ partition: 'mails' }]);
  });

  it('see messages whose vt is infinity, which no claim can ever read', async () => {
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

describe('without the extension or the pgmq queue', () => {
  beforeEach(async () => {
    await add('orders');
    await sendAndClaim();
  });

  const stats = async () => {
    const { queues } = (await database.rpc('read_stats', { p_now: sql.now })) as {
      queues: { name: string; states: Record<string, { count: number }>; unreachable: unknown[] }[];
    };
    return queues.find((queue) => queue.name === 'pgmq');
  };

  it('a tick says what to do, and the stats give the reason', async () => {
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

  it('a tick and the stats report a dropped queue', async () => {
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

  it('a tick and the stats report a recreated queue that the service role may not use', async () => {
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
