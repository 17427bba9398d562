import type { Client } from 'pg';
import { beforeEach, expect, it } from 'vitest';
import { testStack } from './test-stack.ts';

/** Runs exchanges of one tick step by step, each in a transaction of its own: while one is open, the others meet its locks. */

const stack = testStack();
const id = crypto.randomUUID();
let sessions: Client[] = [];

beforeEach(async () => {
  await stack.sql('create schema if not exists app');
  await stack.sql('drop table if exists app.items');
  await stack.sql('create table app.items (id bigint primary key, due timestamptz not null default now())');
  await stack.sql(`select punctual.add_queue('items', 'app.items', 'due', 'at-least-once')`);
  await stack.sql(`update punctual.queues set batch_limit = null where name = 'items'`);
  await stack.sql('insert into app.items (id) select generate_series(1, 6)');
  sessions = [await stack.begin(), await stack.begin()];
  await exchange(await stack.begin(), 1, 0).then(({ commit }) => commit());
});

interface Answer {
  rows: { id: string }[];
  counts: { claimed: number };
  closed: boolean;
}

/** Makes an exchange of the tick, whose transaction stays open until `commit`. */
async function exchange(session: Client, seq: number, want: number, close = false) {
  const { rows } = await session.query('select punctual.exchange($1, $2, $3, $4, $5) as answer', [
    { id, queue: 'items', partition: 'main', limit_seconds: 60 },
    seq,
    {},
    want,
    close,
  ]);
  return { answer: rows[0].answer as Answer, commit: () => session.query('commit') };
}

/** Makes one exchange, and another one while the first is open. Returns both answers, and how many rows were free while both were open. */
async function meet(
  [seq, want]: [number, number],
  [otherSeq, otherWant, closes]: [number, number, boolean?],
): Promise<{ first: Answer; second: Answer; free: number }> {
  const [one, other] = sessions as [Client, Client];
  const first = await exchange(one, seq, want);
  const running = exchange(other, otherSeq, otherWant, closes);
  const pid = Reflect.get(other, 'processID');
  for (;;) {
    const [{ waits }] = await stack.sql('select cardinality(pg_blocking_pids($1)) > 0 as waits', [pid]);
    if (waits) break;
  }
  const unlocked = await stack.sql(
    `select id from app.items where status = 'pending' for no key update skip locked`,
  );
  await first.commit();
  const second = await running;
  await second.commit();
  return { first: first.answer, second: second.answer, free: unlocked.length };
}

const ids = ({ rows }: Answer) => rows.map((row) => Number(row.id));

it('two exchanges of a tick claim side by side, and the ledger counts both', async () => {
  const { first, second, free } = await meet([2, 2], [3, 2]);
  expect(ids(first)).toEqual([1, 2]);
  expect(ids(second)).toEqual([3, 4]);
  expect(free).toBe(2);
  expect(second.counts.claimed).toBe(4);
  expect(await stack.sql('select claimed, last_seq from punctual.ticks')).toEqual([
    { claimed: 4, last_seq: 3 },
  ]);
});

it('the ledger counts both if the later exchange is the first to end, and a copy of the other returns its rows', async () => {
  const { first, second } = await meet([3, 2], [2, 2]);
  expect(ids(first)).toEqual([1, 2]);
  expect(ids(second)).toEqual([3, 4]);
  expect(await stack.sql('select claimed, last_seq from punctual.ticks')).toEqual([
    { claimed: 4, last_seq: 3 },
  ]);
  expect(ids((await exchange(await stack.begin(), 2, 2)).answer)).toEqual([3, 4]);
});

it('a copy of an exchange that still runs claims nothing, and returns the same rows', async () => {
  const { first, second, free } = await meet([2, 2], [2, 2]);
  expect(ids(second)).toEqual(ids(first));
  expect(free).toBe(4);
  expect(await stack.sql('select claimed from punctual.ticks')).toEqual([{ claimed: 2 }]);
});

it('an exchange that closes the tick waits for one that runs', async () => {
  const { second, free } = await meet([2, 2], [3, 0, true]);
  expect(free).toBe(4);
  expect(second).toMatchObject({ closed: true, counts: { claimed: 2 } });
  expect(await stack.sql('select outcome, claimed from punctual.ticks')).toEqual([
    { outcome: 'ran', claimed: 2 },
  ]);
});

it('two exchanges of a tick claim no more than the batch limit', async () => {
  await stack.sql(`update punctual.queues set batch_limit = 3 where name = 'items'`);
  const { first, second } = await meet([2, 2], [3, 2]);
  expect([ids(first), ids(second)]).toEqual([[1, 2], [3]]);
});
