import { beforeEach, expect, it } from 'vitest';
import { messageQueues } from '../support/message-queues.ts';

const queues = messageQueues();
const { database, sql, create, change, send, tick, claim, sendAndClaim, pass, places, stats } = queues;
const add = (name?: string) => queues.add(name, `, 'place-order'`);
beforeEach(() => add());

// biome-ignore lint/suspicious/noExplicitAny: JSON, for assertions
const call = (fn: string, args: object = {}): Promise<any> =>
  database.rpc(fn, { p_queue: 'pgmq', ...args, p_now: sql.now });
const page = (state: string, more: object = {}) =>
  call('list_rows', { p_filter: { status: [state] }, p_limit: 10, ...more });
const list = async (state: string) => (await page(state)).items;
const explain = (id: string) => call('explain_row', { p_id: id });
const resolve = (id: string, decision: string) =>
  call('resolve_row', { p_id: id, p_decision: decision, p_by: 'Ann', p_note: 'as agreed' });
const due = () => call('list_due_partitions');

/** Adds one message in each state, and returns their ids. */
async function addOneOfEach() {
  const done = await sendAndClaim({ n: 'done' });
  await done.settle('done');
  const dead = await sendAndClaim({ n: 'dead' });
  await dead.settle('dead', { error: 'so it was' });
  const running = await sendAndClaim({ n: 'busy' });
  const pending = await send({ n: 'later' }, 'orders', 60);
  return { done: done.id, dead: dead.id, running: running.id, pending };
}

it('an operator sees every message counted and listed under its state', async () => {
  const ids = await addOneOfEach();
  const { states } = await stats();
  const counts = Object.entries(states as Record<string, { count: number }>).map(([state, { count }]) => [
    state,
    count,
  ]);
  expect(Object.fromEntries(counts)).toEqual({
    ...{ pending: 1, running: 1, done: 1, dead: 1 },
    ...{ unknown: 0, cancelled: 0 },
  });
  for (const [state, id] of Object.entries(ids)) {
    const isOpen = state === 'pending' || state === 'running';
    expect(await list(state)).toEqual([
      {
        id,
        status: state === 'dead' ? 'set_aside' : state,
        due_at: isOpen ? expect.any(String) : null,
        attempts: state === 'pending' ? 0 : 1,
        last_error: state === 'dead' ? 'so it was' : null,
        finished_at: isOpen ? null : expect.any(String),
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
  expect([await list('unknown'), await list('set_aside')]).toMatchObject([[], [{ id: ids.dead }]]);
});

it('an operator sees messages page by page, across all queues', async () => {
  await create('mails');
  await add('mails');
  for (const name of ['orders', 'mails', 'orders', 'mails', 'orders']) await send({ n: 1 }, name, 60);
  for (let n = 0; n < 3; n++) await (await sendAndClaim()).settle('dead');
  const idsOf = ({ items }: { items: { id: string }[] }) => items.map(({ id }) => id);
  for (const [state, count] of [
    ['pending', 5],
    ['set_aside', 3],
  ] as const) {
    const all = idsOf(await page(state));
    expect(all).toHaveLength(count);
    const seen: string[] = [];
    let cursor: object | null = null;
    do {
      const response = await page(state, { p_limit: 2, p_cursor: cursor });
      seen.push(...idsOf(response));
      cursor = response.next;
    } while (cursor);
    expect(seen).toEqual(all);
  }
});

it('an operator sees why each message is not done', async () => {
  const ids = await addOneOfEach();
  expect(await explain(ids.pending)).toMatchObject({
    ...{ queue: 'pgmq', id: ids.pending, state: 'pending', attempts: 0, max_attempts: 5 },
    waits: [{ kind: 'due', text: expect.stringContaining('delayed') }],
    expected_at: expect.any(String),
  });
  await pass(60);
  expect(await explain(ids.pending)).toMatchObject({ waits: [{ kind: 'tick' }] });
  expect(await explain(ids.running)).toMatchObject({
    ...{ state: 'running', attempts: 1, lease_expires_at: expect.any(String) },
    waits: [{ kind: 'lease' }],
    tick: { scheduler: 'test' },
  });
  expect(await explain(ids.done)).toMatchObject({
    state: 'done',
    waits: [],
    finished_at: expect.any(String),
  });
  expect(await explain(ids.dead)).toMatchObject({
    ...{ state: 'dead', status: 'set_aside', last_error: 'so it was', waits: [{ kind: 'operator' }] },
    history: [{ event: 'dead', text: 'so it was' }],
  });
  for (const id of ['orders:99', 'orders', '7', 'others:1']) expect(await explain(id)).toBeNull();
});

it('an operator sees a message that waits for its retry, and an old one that only the archive has', async () => {
  const { id, settle } = await sendAndClaim();
  await settle('retry', { delay_seconds: 50 });
  expect(await explain(id)).toMatchObject({ state: 'pending', attempts: 1, waits: [{ kind: 'retry' }] });
  await database.sql('delete from punctual.messages');
  await database.sql(`select pgmq.archive('orders', 1)`);
  expect(await explain(id)).toMatchObject({ state: 'done', waits: [] });
});

it('an operator sees messages whose vt is infinity, which no claim can ever read', async () => {
  const id = await send();
  await database.sql(`update pgmq.q_orders set vt = 'infinity'`);
  expect(await stats()).toMatchObject({
    unreachable: [{ reason: 'vt is infinity in the pgmq queue "orders"', rows: 1 }],
  });
  expect(await explain(id)).toMatchObject({ due_at: null, waits: [{ kind: 'never_due' }] });
  expect(await list('pending')).toMatchObject([{ id, due_at: null }]);
});

it('an operator retries a message that was set aside, with its id and headers and its attempts counted from the beginning', async () => {
  await change('max_attempts = 1');
  await database.sql(`select pgmq.send('orders', '{"n": 1}'::jsonb, '{"from": "shop"}'::jsonb)`);
  const { id, settle } = await claim();
  await settle('dead');
  expect(await resolve(id, 'pending')).toEqual({ status: 'pending' });
  expect((await places()).setAside).toEqual([]);
  expect((await claim()).rows).toMatchObject([
    { id, attempt: 1, row: { message: { n: 1 }, headers: { from: 'shop' } } },
  ]);
  expect(await sql.history(id)).toEqual([
    ['dead', 'e'],
    ['decided', 'Ann decided: send it back (as agreed)'],
  ]);
  // The earlier worker's outcome is lost.
  expect(await settle('done')).toMatchObject({ lost: 1 });
  expect(await send()).toBe('orders:2');
});

it('an operator cancels a message that was set aside, and sees it until its retention is over', async () => {
  const { dead } = await addOneOfEach();
  expect(await resolve(dead, 'cancelled')).toEqual({ status: 'cancelled' });
  expect(await list('cancelled')).toMatchObject([{ id: dead, status: 'cancelled' }]);
  expect(await list('dead')).toEqual([]);
  await database.rpc('prune', { p_now: sql.at(29 * 86_400) });
  expect((await places()).setAside).toHaveLength(1);
  await sql.rollUp(sql.at(31 * 86_400));
  expect(await database.rpc('prune', { p_now: sql.at(31 * 86_400) })).toMatchObject({ rows: 1 });
  expect((await places()).setAside).toEqual([]);
});

it('an operator cannot decide on a message that is not set aside, or make one done that is', async () => {
  const ids = await addOneOfEach();
  for (const [state, word, decision] of [
    ['pending', 'pending', 'cancelled'],
    ['running', 'running', 'pending'],
    ['done', 'done', 'pending'],
    ['dead', 'set_aside', 'done'],
    ['dead', 'set_aside', 'set_aside'],
  ] as const) {
    const refused = { code: 'PT409', message: expect.stringContaining(`the row is ${word}`) };
    await expect(resolve(ids[state], decision)).rejects.toMatchObject(refused);
  }
  for (const id of ['orders:99', 'x'])
    await expect(resolve(id, 'pending')).rejects.toMatchObject({ code: 'PT404' });
});

it('an operator gets an error and loses nothing if a recreated queue has given the id to another message', async () => {
  const { id, settle } = await sendAndClaim();
  await settle('dead');
  await queues.recreate();
  await send({ n: 'another' });
  await add();
  await expect(resolve(id, 'pending')).rejects.toMatchObject({ code: 'PT409' });
  expect(await places()).toMatchObject({
    queued: [{ message: { n: 'another' } }],
    setAside: [{ msg_id: 1 }],
  });
});

it('the partitions that have due messages are listed, the longest due first', async () => {
  await create('mails');
  await add('mails');
  await send({}, 'mails');
  await send({}, 'orders', 60);
  expect(await due()).toMatchObject([{ partition: 'mails', due_seconds: 0 }]);
  await pass(100);
  expect(await due()).toMatchObject([
    { partition: 'mails', due_seconds: 100 },
    { partition: 'orders', due_seconds: 40 },
  ]);
});

it('the healthy partitions are listed when nothing is due, and a broken one only if there is no other', async () => {
  await create('mails');
  await add('mails');
  await database.sql(`select pgmq.drop_queue('mails')`);
  await tick().exchange({ close: true });
  expect(await due()).toMatchObject([{ partition: 'orders' }]);
  await database.sql(`delete from punctual.partitions where queue = 'pgmq' and partition = 'orders'`);
  expect(await due()).toMatchObject([{ partition: 'mails' }]);
});

it('a message has a story, also after it was set aside, and its failures make error groups', async () => {
  const { id, claim_id, settle, tick: first } = await sendAndClaim({ n: 'dead' });
  const story = () => call('read_row', { p_id: id, p_configured: null });
  expect(await story()).toMatchObject({ state: 'running', attempts: [{ claim_id, outcome: 'running' }] });
  const failure = { error: 'shop answered 503 (down): order 17', ms: 70, kind: 'rejected', code: 'down' };
  await settle('dead', failure);
  expect(await story()).toMatchObject({
    ...{ queue: 'pgmq', id, state: 'dead', sent_once: null, why: { state: 'dead' } },
    row: { content: { n: 'dead' }, partition: 'orders' },
    attempts: [{ claim_id, outcome: 'dead', duration_ms: 70, code: 'down', tick: { id: first.id } }],
  });
  await resolve(id, 'cancelled');
  const { events } = await story();
  expect(events.at(-1)).toMatchObject({ event: 'decided', by: 'Ann' });
  const late = await sendAndClaim({ n: 'other' });
  await late.settle('retry', { ...failure, error: 'shop answered 503 (down): order 18' });
  const { items } = await call('list_error_groups');
  const group = { text: 'shop answered 503 (down): order #', rows_dead: 0, events_24h: 2, accounts: null };
  expect(items).toMatchObject([group]);
  expect(await database.rpc('find_row', { p_text: id })).toMatchObject([{ queue: 'pgmq', id, by: 'id' }]);
  expect(await call('read_row', { p_id: 'orders:99' })).toBeNull();
});

it('an action on messages takes those that it names, or all that were set aside, and refuses what it cannot do', async () => {
  const setAside = async (n: string) => {
    const { id, settle } = await sendAndClaim({ n });
    await settle('dead', { error: 'so it was' });
    return id;
  };
  const [one, two] = [await setAside('one'), await setAside('two')];
  const start = (p_action: string, p_filter: object, more: object = {}) =>
    call('start_action', { p_action, p_filter, ...more });
  const left = async () => (await list('dead')).map(({ id }: { id: string }) => id);
  expect(await start('retry', { ids: [one] }, { p_dry_run: true })).toMatchObject({ count: 1 });
  const gone = ['orders:999', 'nowhere:1', 'x', ':', await send({ n: 'waits' }, 'orders', 60)];
  expect(await start('retry', { ids: gone })).toMatchObject({ count: 0 });
  expect(await start('retry', { ids: [...gone, one, one] }, { p_dry_run: true })).toMatchObject({ count: 1 });
  const { id } = await start('retry', { ids: [one] });
  expect(await database.rpc('run_action', { p_id: id, p_now: sql.now })).toMatchObject({
    state: 'done',
    written: 1,
  });
  expect(await left()).toEqual([two]);
  for (const [action, filter] of [
    ['retry', { status: ['dead'], text: 'so it' }],
    ['delete', { status: ['dead'] }],
    ['reschedule', { ids: [two] }],
  ] as const)
    await expect(start(action, filter)).rejects.toMatchObject({ code: '22023' });
  expect(await left()).toEqual([two]);
  const all = await start('cancel', { status: ['dead'] });
  await database.rpc('run_action', { p_id: all.id, p_now: sql.now });
  expect(await left()).toEqual([]);
});
