import { beforeEach, describe, expect, it } from 'vitest';
import { messageQueues } from '../support/message-queues.ts';

const queues = messageQueues();
const { database, sql, change, add, send, tick, claim, sendAndClaim, pass, claimAndDie, places } = queues;

const nothing = { queued: [], archived: [], setAside: [] };

describe('a claim', () => {
  beforeEach(() => add('orders', `, 'place-order'`));

  it('reads messages in pgmq’s order with the fields that a handler needs, and hides them for its lease', async () => {
    for (const n of [1, 2, 3]) await send({ n });
    const { rows } = await claim(2);
    const fields = {
      id: 'orders:1',
      partition: 'orders',
      job: 'place-order',
      message: { n: 1 },
      headers: null,
    };
    expect(rows).toEqual([
      expect.objectContaining({
        id: 'orders:1',
        attempt: 1,
        timeout_seconds: null,
        row: { ...fields, msg_id: 1, read_ct: 1, enqueued_at: expect.any(String) },
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
    const [message] = (await places()).queued;
    expect(Date.parse(message.vt) - before).toBeGreaterThanOrEqual(330_500);
  });

  it('leaves a delayed message until it is visible, and returns when that is', async () => {
    await send({}, 'orders', 40);
    const first = await tick().exchange({ want: 5, close: true });
    expect(first.rows).toEqual([]);
    expect(first.next_due_in_ms).toBeGreaterThan(38_000);
    expect(first.next_due_in_ms).toBeLessThanOrEqual(40_000);
    await pass(40);
    const { rows, tick: one } = await claim();
    expect(rows).toHaveLength(1);
    // A running message is not the next due one.
    expect(await one.close()).toMatchObject({ due: 0, next_due_in_ms: null });
  });

  it('repeated after a lost response returns the same messages, and reads none twice', async () => {
    await send();
    const one = tick();
    const first = await one.exchange({ seq: 1, want: 5 });
    expect((await one.exchange({ seq: 1, want: 5 })).rows).toEqual(first.rows);
    expect(await places()).toMatchObject({ queued: [{ read_ct: 1 }] });
  });

  it('leaves a message that another consumer has read until it is visible again', async () => {
    await send();
    await database.sql(`select * from pgmq.read('orders', 30, 10)`);
    expect((await claim()).rows).toEqual([]);
    await pass(30);
    expect((await claim()).rows).toMatchObject([{ attempt: 1, row: { read_ct: 2 } }]);
  });

  it('in a paused partition reads nothing', async () => {
    await send();
    await database.sql(`update punctual.partitions set paused_at = $1 where queue = 'pgmq'`, [sql.now]);
    expect((await claim()).rows).toEqual([]);
    expect(await places()).toMatchObject({ queued: [{ read_ct: 0 }] });
  });
});

describe('an outcome', () => {
  beforeEach(() => add());

  it.each([
    [
      'done',
      'archive',
      { done: 1, lost: 0, exceptions: [] },
      { archived: [{ msg_id: 1, message: { n: 7 } }] },
    ],
    ['done', 'delete', { done: 1, lost: 0, exceptions: [] }, {}],
    ['dead', 'archive', { dead: 1, unknown: 0 }, { setAside: [{ last_error: 'so it was' }] }],
    ['unknown', 'archive', { dead: 1, unknown: 0 }, { setAside: [{ last_error: 'so it was' }] }],
  ])('%s with on_done %s is %j, and then %j', async (outcome, onDone, settled, expected) => {
    await add('orders', `, p_on_done => '${onDone}'`);
    const { settle } = await sendAndClaim({ n: 7 });
    expect(await settle(outcome, { error: 'so it was' })).toMatchObject(settled);
    expect(await places()).toMatchObject({ ...nothing, ...expected });
  });

  it('retry shows the message again after its delay, and counts the attempt', async () => {
    const { id, settle } = await sendAndClaim();
    const settled = await settle('retry', { error: 'no connection', delay_seconds: 39.5 });
    expect(settled).toMatchObject({ retried: 1, exceptions: [] });
    await pass(39);
    expect((await claim()).rows).toEqual([]);
    await pass(1);
    expect((await claim()).rows).toMatchObject([{ id, attempt: 2 }]);
    expect(await sql.history(id)).toEqual([['retry', 'no connection']]);
  });

  it('retry of the last attempt sets the message aside with its content and the error, outside pgmq’s queue and archive', async () => {
    // The message queue's own max_attempts goes before the registry's.
    await add('orders', `, p_settings => '{"max_attempts": 1}'`);
    await database.sql(`select pgmq.send('orders', '{"n": 1}'::jsonb, '{"from": "shop"}'::jsonb)`);
    const { id, settle } = await claim();
    expect(await settle('retry', { error: 'no connection' })).toMatchObject({
      dead: 1,
      retried: 0,
      exceptions: [{ id, verdict: 'applied', outcome: 'dead' }],
    });
    const content = { partition: 'orders', msg_id: 1, message: { n: 1 }, headers: { from: 'shop' } };
    const ended = { attempts: 1, read_ct: 1, last_error: 'no connection', cancelled_at: null };
    expect(await places()).toMatchObject({ ...nothing, setAside: [{ ...content, ...ended }] });
    expect(await sql.history(id)).toEqual([['dead', 'no connection']]);
  });

  it('retry after a rate limit, or release, counts no attempt, although pgmq counts the read', async () => {
    await change('max_attempts = 1');
    const { id, settle } = await sendAndClaim();
    expect(await settle('retry', { rate_limited: true })).toMatchObject({ retried: 1, limited: 1 });
    const second = await claim();
    expect(second.rows).toMatchObject([{ id, attempt: 1, row: { read_ct: 2 } }]);
    expect(await second.settle('release')).toMatchObject({ released: 1 });
    expect((await claim()).rows).toMatchObject([{ id, attempt: 1, row: { read_ct: 3 } }]);
  });

  it('again shows the message after its delay, and counts attempts from the beginning', async () => {
    const { id, settle } = await sendAndClaim();
    await settle('again', { delay_seconds: 60 });
    await pass(59);
    expect((await claim()).rows).toEqual([]);
    await pass(1);
    expect((await claim()).rows).toMatchObject([{ id, attempt: 1 }]);
  });

  const all = ['done', 'retry', 'dead', 'release', 'again', 'unknown'];
  it.each(all)('%s settled twice is applied once, and is `already` the second time', async (outcome) => {
    const { id, settle } = await sendAndClaim();
    await settle(outcome, { delay_seconds: 9_000 });
    const before = await places();
    const already = { id, verdict: 'already', outcome: outcome === 'unknown' ? 'dead' : outcome };
    expect(await settle(outcome, { delay_seconds: 9_000 })).toMatchObject({
      lost: 0,
      exceptions: [already],
    });
    expect(await places()).toEqual(before);
  });

  it('for a malformed or unknown id is lost, and does not affect the others', async () => {
    const { id, claim_id, tick: one } = await sendAndClaim();
    const ids = [id, 'orders', 'orders:99', 'orders:x', '99999999999999999999'];
    const { settled } = await one.settle(ids.map((row) => ({ id: row, claim_id, outcome: 'done' })));
    expect(settled).toMatchObject({ done: 1, lost: 4 });
    expect(settled.exceptions.map(({ verdict }) => verdict)).toEqual(['lost', 'lost', 'lost', 'lost']);
  });
});

/** Settles every outcome but `unknown`, and expects that none is applied. */
async function expectLost({ id, settle }: Awaited<ReturnType<typeof claim>>) {
  for (const outcome of ['done', 'retry', 'dead', 'release', 'again']) {
    const count = outcome === 'release' ? 'released' : 'lost';
    expect(await settle(outcome)).toMatchObject({ [count]: 1, exceptions: [{ id, verdict: 'lost' }] });
  }
}

describe('a late worker', () => {
  beforeEach(() => add());

  it('loses its outcome if the message was read again since, and nothing is archived', async () => {
    await send();
    const late = await claimAndDie();
    await claim(); // Sweeps. The message is visible after its backoff.
    await pass(120);
    expect((await claim()).rows).toMatchObject([{ id: late.id, attempt: 2 }]);
    await expectLost(late);
    const { queued, ...others } = await places();
    expect(others).toEqual({ archived: [], setAside: [] });
    expect(Date.parse(queued[0].vt) - Date.now()).toBeGreaterThan(80_000);
  });

  it.each([
    ['still runs', 5, false],
    ['was swept', 5, true],
    ['was set aside', 1, true],
  ])('may settle `done` if it %s and no tick has claimed it since', async (_, max, isSwept) => {
    await change(`max_attempts = ${max}`);
    await send();
    const late = await claimAndDie();
    if (isSwept) expect((await claim()).swept).toBe(1);
    expect((await places()).setAside).toHaveLength(max === 1 ? 1 : 0);
    expect(await late.settle('done')).toMatchObject({ done: 1, exceptions: [] });
    expect(await places()).toMatchObject({ ...nothing, archived: [{ msg_id: 1 }] });
  });

  it('loses its failure if the message was swept, because the sweep counted it', async () => {
    await send();
    const late = await claimAndDie();
    await claim();
    const before = await places();
    expect(await late.settle('retry', { delay_seconds: 900 })).toMatchObject({ lost: 1 });
    expect(await places()).toEqual(before);
  });

  it('cannot settle a message that an operator cancelled meanwhile', async () => {
    const late = await sendAndClaim();
    await late.settle('dead');
    await database.rpc('resolve_row', { p_queue: 'pgmq', p_id: late.id, p_decision: 'cancelled' });
    expect(await late.settle('done')).toMatchObject({ done: 0 });
    expect(await places()).toMatchObject({ queued: [], archived: [] });
  });

  it.each(['dead', 'retry'])('never settles a message of a queue recreated after a %s', async (outcome) => {
    const late = await sendAndClaim();
    await late.settle(outcome);
    await queues.recreate();
    await add();
    // Its ids start at 1 again.
    expect(await send({ name: 'another' })).toBe(late.id);
    expect(await late.settle('done')).toMatchObject({ done: 0 });
    expect((await claim()).rows).toMatchObject([{ id: late.id, attempt: 1 }]);
    expect(await late.settle('done')).toMatchObject({ done: 0 });
    expect(await places()).toMatchObject({ queued: [{ message: { name: 'another' } }], archived: [] });
  });
});

describe('another consumer of the same pgmq queue', () => {
  beforeEach(() => add());

  it('keeps a message that it reads after our lease: a late outcome is lost, and no sweep shows the message early', async () => {
    const late = await sendAndClaim();
    await pass(92);
    expect(await database.sql(`select msg_id from pgmq.read('orders', 500, 1)`)).toEqual([{ msg_id: 1 }]);
    const before = await places();
    expect(await late.settle('done')).toMatchObject({ lost: 1 });
    expect(await claim()).toMatchObject({ swept: 1, rows: [] });
    await expectLost(late);
    expect(await places()).toEqual(before);
  });

  it.each(['delete', 'archive'])('may %s a message under our lease: our outcome is lost', async (take) => {
    const claimed = await sendAndClaim();
    await database.sql(`select pgmq.${take}('orders', 1)`);
    const before = await places();
    await expectLost(claimed);
    await pass(91);
    await claim();
    expect(await database.sql('select * from punctual.messages')).toEqual([]);
    expect(await places()).toEqual(before);
  });

  it('uses up none of our attempts when it reads between them', async () => {
    const { id, settle } = await sendAndClaim();
    await settle('retry');
    await database.sql(`select * from pgmq.read('orders', 10, 1)`);
    await pass(10);
    expect((await claim()).rows).toMatchObject([{ id, attempt: 2, row: { read_ct: 3 } }]);
  });
});

describe('a killed process', () => {
  beforeEach(() => add());

  it('costs an attempt, and after the last one the message is set aside with the reason and never read again', async () => {
    await change('max_attempts = 3, backoff_base_seconds = 1, backoff_cap_seconds = 1');
    await send();
    const attempts: unknown[] = [];
    for (let kill = 0; kill < 6; kill++) {
      attempts.push((await claimAndDie()).rows[0]?.attempt);
      await claim();
      await pass(1);
    }
    expect(attempts).toEqual([1, 2, 3, undefined, undefined, undefined]);
    const reason = { attempts: 3, last_error: 'the tick died while this message was being handled' };
    expect(await places()).toMatchObject({ ...nothing, setAside: [{ msg_id: 1, ...reason }] });
  });

  it('leaves messages that are visible again after a growing backoff, different for each', async () => {
    for (let n = 0; n < 20; n++) await send();
    const sweep = async () => {
      await claimAndDie();
      expect(await claim()).toMatchObject({ swept: 20 });
      const rows = await database.sql(
        'select extract(epoch from vt - clock_timestamp())::integer as s from pgmq.q_orders',
      );
      return rows.map(({ s }) => s);
    };
    const first = await sweep();
    expect(Math.max(...first)).toBeLessThanOrEqual(120);
    expect(new Set(first).size).toBeGreaterThan(12);
    await pass(120);
    const second = await sweep();
    expect(Math.max(...second)).toBeGreaterThan(120);
    expect(Math.max(...second)).toBeLessThanOrEqual(480);
  });

  it('costs an attempt before any sweep: after three of them a fourth claim gets nothing', async () => {
    await change('max_attempts = 3');
    const id = await send();
    const attempts: number[][] = [];
    for (let n = 0; n < 4; n++) {
      // Claims as an exchange does, without its sweep.
      const [{ rows }] = await database.sql(
        `select punctual.claim_messages(q, 'orders', gen_random_uuid(), 5, $1::timestamptz + interval '90 seconds', $1) as rows
           from punctual.queues q where name = 'pgmq'`,
        [sql.now],
      );
      await pass(91);
      attempts.push(rows.map((row: { attempt: number }) => row.attempt));
    }
    expect(attempts).toEqual([[1], [2], [3], []]);
    expect(await places()).toMatchObject({ ...nothing, setAside: [{ msg_id: 1 }] });
    expect(await sql.history(id)).toEqual([['swept', 'the tick died while this message was being handled']]);
  });

  it('has its messages swept 200 at a time', async () => {
    await change('batch_limit = null');
    await database.sql(`select pgmq.send_batch('orders', array_fill('{}'::jsonb, '{250}'))`);
    await claim(250);
    await pass(91);
    expect((await claim(1)).swept).toBe(200);
  });
});

it('records of messages are kept for 1 hour after the end, for an outcome that is settled twice', async () => {
  await add();
  const { settle } = await sendAndClaim();
  await settle('done');
  await pass(3_599);
  await claim();
  expect(await settle('done')).toMatchObject({ exceptions: [{ verdict: 'already' }] });
  await pass(2);
  await claim();
  expect(await database.sql('select * from punctual.messages')).toEqual([]);
});
