import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { done, type Outcome } from '../../lib/engine/outcome.ts';
import type { TestRow } from '../support/tick-bench.ts';
import { perTestStackBench, testStack } from './test-stack.ts';

interface Performed {
  /** The row's place in the order of due times. */
  place: number;
  account: string;
  tick: number;
  startedAt: number;
  endedAt: number;
}

const stack = testStack();
const bench = perTestStackBench(stack);
beforeEach(() =>
  stack.sql(`update punctual.queues set max_ticks = 8, batch_limit = null where name = 'dm_queue'`),
);

const placeOf = (row: TestRow) => Number(row.body.replace('message ', ''));
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1);

it('eight ticks at once over 2,000 due rows of 200 accounts perform every row once, one row of an account at a time and in order, and every tick gets some', async () => {
  await bench.addDms(2_000, { accounts: 200 });
  let isOver = false;
  const watching = (async () => {
    const seen = { reads: 0, doubles: [] as unknown[] };
    for (; !isOver; await sleep(20)) {
      seen.doubles.push(
        ...(await stack.sql(`select account_id, count(*) from punctual.dm_queue
                              where status = 'sending' group by 1 having count(*) > 1`)),
      );
      seen.reads++;
    }
    return seen;
  })();
  const performed: Performed[] = [];
  const reports = await Promise.all(
    upTo(8).map((tick) =>
      bench.tick(async (row, { account }) => {
        const startedAt = performance.now();
        await sleep(2 + Math.random() * 6);
        const endedAt = performance.now();
        performed.push({ place: placeOf(row), account: account?.id ?? '', tick, startedAt, endedAt });
        return done();
      }),
    ),
  );
  isOver = true;
  const { reads, doubles } = await watching;
  const shares = reports.map((report) => report.counts.done);
  console.log(`rows per tick: ${shares.join(' ')}`);

  expect(performed.map(({ place }) => place).sort((a, b) => a - b)).toEqual(upTo(2_000));
  expect(new Set(performed.map(({ tick }) => tick)).size).toBe(8);
  expect(Math.min(...shares)).toBeGreaterThan(0);
  expect(doubles).toEqual([]);
  expect(reads).toBeGreaterThan(20);
  const lastOf = new Map<string, Performed>();
  for (const row of performed.sort((a, b) => a.startedAt - b.startedAt)) {
    const before = lastOf.get(row.account);
    expect(row.place).toBeGreaterThan(before?.place ?? 0);
    expect(row.startedAt).toBeGreaterThanOrEqual(before?.endedAt ?? 0);
    lastOf.set(row.account, row);
  }
  expect(lastOf.size).toBe(200);
  expect(await bench.states()).toEqual({ sent: 2_000 });
  expect(await stack.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
  expect(
    await stack.sql(`select count(*)::integer as ticks, count(closed_at)::integer as closed, sum(claimed)::integer as claimed,
      sum(done)::integer as done, sum(lost)::integer as lost, sum(swept)::integer as swept from punctual.ticks`),
  ).toEqual([{ ticks: 8, closed: 8, claimed: 2_000, done: 2_000, lost: 0, swept: 0 }]);
});

it('a claim waits for no locked row, and its account sends no other row in its place until the next tick', async () => {
  await bench.addDms(4, { accounts: 2 });
  const operator = await stack.begin();
  await operator.query('select from punctual.dm_queue where id = 1 for no key update');
  const order: number[] = [];
  const tick = () =>
    bench.tick((row) => {
      order.push(placeOf(row));
      return done();
    });
  const began = performance.now();
  expect(await tick()).toMatchObject({ outcome: 'ran', counts: { claimed: 2, done: 2 } });
  expect(performance.now() - began).toBeLessThan(2_000);
  await operator.query('commit');
  await tick();
  expect(order).toEqual([2, 4, 1, 3]);
});

it('a queue with max_ticks = 1 admits exactly one of eight ticks at once and skips seven, in every round', async () => {
  await stack.sql(`update punctual.queues set max_ticks = 1, batch_limit = 3 where name = 'dm_queue'`);
  await bench.addDms(15);
  for (const round of upTo(5)) {
    let ended = 0;
    let othersEnded = () => {};
    const others = new Promise<void>((resolve) => {
      othersEnded = resolve;
    });
    const reports = await Promise.all(
      upTo(8).map(async () => {
        const report = await bench.tick(() => others.then(() => done()));
        if (++ended === 7) othersEnded();
        return report;
      }),
    );
    expect(reports.map((report) => report.outcome).sort()).toEqual(['ran', ...Array(7).fill('skipped')]);
    expect(await bench.states()).toMatchObject({ sent: 3 * round });
  }
  expect(
    await stack.sql(
      'select outcome, admitted, count(*)::integer from punctual.ticks group by 1, 2 order by 1',
    ),
  ).toEqual([
    { outcome: 'ran', admitted: true, count: 5 },
    { outcome: 'skipped', admitted: false, count: 35 },
  ]);
});

it('an exchange that arrives three times at once opens, claims and settles once, and every copy returns the same rows', async () => {
  interface Response {
    claim_id: string;
    rows: { id: string }[];
    settled: { done: number };
  }
  const settings = { queue: 'dm_queue', partition: 'main', limit_seconds: 60, providers: ['unipile'] };
  const exchange = (id: string, args: object): Promise<Response> =>
    (stack.rpc('exchange', { p_tick: { id, ...settings }, ...args }) as Promise<Response>).catch((error) => {
      // Two copies that block each other: one gets a lock timeout and repeats the call, as a tick does.
      if (error.code === '55P03') return exchange(id, args);
      throw error;
    });
  const threeTimes = (id: string, args: object) => Promise.all(upTo(3).map(() => exchange(id, args)));
  const idsOf = ({ rows }: Response) => rows.map((row) => row.id);
  const doneOf = (response: Response) => ({
    done: [{ claim_id: response.claim_id, ids: idsOf(response) }],
  });

  await bench.addDms(200, { accounts: 200 });
  for (const round of upTo(10)) {
    const tick = crypto.randomUUID();
    const opened = await threeTimes(tick, { p_seq: 1, p_want: 5 });
    const [first] = opened as [Response];
    expect(new Set(idsOf(first)).size).toBe(5);
    for (const response of opened) expect(idsOf(response)).toEqual(idsOf(first));

    const settled = await threeTimes(tick, { p_seq: 2, p_want: 5, p_outcomes: doneOf(first) });
    const [next] = settled as [Response];
    expect(new Set([...idsOf(first), ...idsOf(next)]).size).toBe(10);
    for (const response of settled) expect(idsOf(response)).toEqual(idsOf(next));
    expect(settled.map((response) => response.settled.done).sort()).toEqual([0, 0, 5]);

    await threeTimes(tick, { p_seq: 3, p_outcomes: doneOf(next), p_close: true });
    expect(
      await stack.sql('select claimed, done, lost, outcome from punctual.ticks where id = $1', [tick]),
    ).toEqual([{ claimed: 10, done: 10, lost: 0, outcome: 'ran' }]);
    expect(await bench.states()).toEqual({ sent: 10 * round, pending: 200 - 10 * round });
  }
});

it('proof of a tick that outlived its lease is kept even if a session locks the row at that moment', async () => {
  const leaseMs = 120_000;
  /** Starts a tick whose one row runs until `finish` is called. */
  const holdRow = (aheadMs: number) =>
    new Promise<{ finish(): Promise<unknown> }>((isHeld) => {
      const perform = () =>
        new Promise<Outcome>((resolve) => {
          const finish = () => {
            resolve(done());
            return report;
          };
          isHeld({ finish });
        });
      const report = bench.tick(perform, { aheadMs });
    });
  await bench.addDms(1);
  const late = await holdRow(0);
  expect(await bench.tick(undefined, { aheadMs: leaseMs })).toMatchObject({
    counts: { swept: 1, claimed: 0 },
  });
  await stack.sql(`update punctual.dm_queue set status = 'pending' where status = 'unknown'`); // an operator's decision
  const other = await holdRow(2 * leaseMs);

  const operator = await stack.begin();
  await operator.query('select from punctual.dm_queue for no key update');
  let isReported = false;
  const reporting = late.finish().then(() => {
    isReported = true;
  });
  const isWaiting = () =>
    stack.sql(`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%exchange%'`);
  while (!isReported && (await isWaiting()).length === 0);
  await operator.query('rollback');
  await reporting;
  expect(await stack.sql(`select event from punctual.history where event = 'late'`)).toHaveLength(1);
  await other.finish();
});
