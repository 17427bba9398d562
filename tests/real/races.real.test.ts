import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import type { TickReport } from '../../lib/engine/tick-report.ts';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { type TestRow, tickBench } from '../support/tick-bench.ts';
import { stackTick, type TickSettings } from './tick-process.ts';

interface Performed {
  /** The row's place in the order of due times. */
  place: number;
  account: string;
  tick: number;
  startedAt: number;
  endedAt: number;
}

let stack: Stack;
let settings: TickSettings;
let bench: ReturnType<typeof tickBench>;

beforeAll(async () => {
  stack = await startStack();
  settings = { supabaseUrl: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey };
});
afterAll(() => stack?.stop());
beforeEach(async () => {
  await stack.sql(
    'truncate punctual.ticks, punctual.dm_queue, punctual.posts, punctual.pace, punctual.accounts restart identity cascade',
  );
  await setRegistry({ max_ticks: 8, batch_limit: null, concurrency: 5 });
  bench = tickBench(
    { ...stack, rpc: newRpc(), reset: async () => {}, close: stack.stop },
    new Date().toISOString(),
  );
});

const newRpc = () => supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });

async function setRegistry(values: Record<string, number | null>): Promise<void> {
  for (const [column, value] of Object.entries(values)) {
    await stack.sql(`update punctual.queues set ${column} = $1 where name = 'dm_queue'`, [value]);
  }
}

const placeOf = (row: TestRow) => Number(row.body.replace('message ', ''));
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs eight ticks at once, each over its own connections. Returns the rows that each performed. */
async function eightTicks(): Promise<{ performed: Performed[]; reports: TickReport[] }> {
  const performed: Performed[] = [];
  const reports = await Promise.all(
    Array.from({ length: 8 }, (_, tick) =>
      stackTick(
        bench.queue(async (row, { account }) => {
          const startedAt = performance.now();
          await sleep(2 + Math.random() * 6);
          const endedAt = performance.now();
          performed.push({ place: placeOf(row), account: account?.id ?? '', tick, startedAt, endedAt });
          return done();
        }),
        null,
        settings,
      ),
    ),
  );
  return { performed, reports };
}

/** Polls the table for an account with two running rows, until it is stopped. */
function watchAccounts(): { stop(): Promise<{ reads: number; doubles: unknown[] }> } {
  const seen = { reads: 0, doubles: [] as unknown[] };
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      seen.doubles.push(
        ...(await stack.sql(`select account_id, count(*) from punctual.dm_queue
                              where status = 'sending' group by 1 having count(*) > 1`)),
      );
      seen.reads++;
      await sleep(20);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await watching;
      return seen;
    },
  };
}

function byAccount(performed: Performed[]): Performed[][] {
  const accounts = new Map<string, Performed[]>();
  for (const one of performed) {
    const rows = accounts.get(one.account);
    if (rows) rows.push(one);
    else accounts.set(one.account, [one]);
  }
  return [...accounts.values()].map((rows) => rows.sort((a, b) => a.startedAt - b.startedAt));
}

/** Expects the rows in the order of due times, each started after the one before ended. */
function expectOneByOne(rows: Performed[]): void {
  expect(rows.map((row) => row.place)).toEqual(rows.map((row) => row.place).sort((a, b) => a - b));
  for (const [index, row] of rows.entries()) {
    expect(row.startedAt).toBeGreaterThanOrEqual(rows[index - 1]?.endedAt ?? 0);
  }
}

const ledger = async () =>
  (
    await stack.sql(`select count(*)::integer as ticks, count(*) filter (where closed_at is not null)::integer as closed,
      sum(claimed)::integer as claimed, sum(done)::integer as done, sum(lost)::integer as lost,
      sum(swept)::integer as swept from punctual.ticks`)
  )[0];

describe('eight ticks at once over 2,000 due rows of 200 accounts', () => {
  it('perform every row once, one row of an account at a time and in order, and every tick gets some', async () => {
    await bench.addDms(2_000, { accounts: 200 });
    const watch = watchAccounts();
    const began = performance.now();
    const { performed, reports } = await eightTicks();
    const ms = Math.round(performance.now() - began);
    const watched = await watch.stop();
    const shares = reports.map((report) => report.counts.done);
    const exchanges = reports.reduce((sum, report) => sum + report.exchanges, 0);
    console.log(`2,000 rows in ${ms} ms by ${exchanges} exchanges; rows per tick: ${shares.join(' ')}`);

    const places = performed.map((one) => one.place).sort((a, b) => a - b);
    expect(places).toEqual(Array.from({ length: 2_000 }, (_, n) => n + 1));
    expect(new Set(performed.map((one) => one.tick)).size).toBe(8);
    expect(Math.min(...shares)).toBeGreaterThan(0);
    expect(watched.doubles).toEqual([]);
    expect(watched.reads).toBeGreaterThan(20);
    const accounts = byAccount(performed);
    expect(accounts).toHaveLength(200);
    for (const rows of accounts) expectOneByOne(rows);
    expect(await bench.states()).toEqual({ sent: 2_000 });
    expect(await stack.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
    expect(await ledger()).toEqual({ ticks: 8, closed: 8, claimed: 2_000, done: 2_000, lost: 0, swept: 0 });
  });

  it('take every account to its daily limit and none beyond it', async () => {
    await bench.addDms(2_000, { accounts: 200, dailyLimit: 7 });
    // A zone in which it is about noon, so that no day ends during the test.
    const east = 12 - new Date().getUTCHours();
    await stack.sql('update punctual.accounts set time_zone = $1', [
      `Etc/GMT${east < 0 ? '+' : '-'}${Math.abs(east)}`,
    ]);
    const { performed } = await eightTicks();

    const accounts = byAccount(performed);
    expect(accounts.map((rows) => rows.length)).toEqual(Array(200).fill(7));
    for (const rows of accounts) {
      expectOneByOne(rows);
      const oldest = (rows[0]?.place ?? 0) % 200;
      expect(rows.map((row) => row.place)).toEqual(
        Array.from({ length: 7 }, (_, n) => (oldest || 200) + n * 200),
      );
    }
    expect(await bench.states()).toEqual({ sent: 1_400, pending: 600 });
    expect(await stack.sql(`select distinct used from punctual.pace where queue = 'dm_queue'`)).toEqual([
      { used: 7 },
    ]);
    expect(await ledger()).toMatchObject({ ticks: 8, closed: 8, claimed: 1_400, done: 1_400, lost: 0 });
  });
});

describe('a claim', () => {
  it('does not wait for a locked row, which the next tick claims', async () => {
    await bench.addDms(10);
    const operator = new Client({ connectionString: stack.databaseUrl });
    await operator.connect();
    try {
      await operator.query(`begin; update punctual.dm_queue set body = body || '!' where id = 3`);
      const queue = bench.queue(() => done());
      const began = performance.now();
      expect(await stackTick(queue, null, settings)).toMatchObject({
        outcome: 'ran',
        counts: { claimed: 9, done: 9 },
      });
      expect(performance.now() - began).toBeLessThan(2_000);
      await operator.query('commit');
      expect(await stackTick(queue, null, settings)).toMatchObject({
        outcome: 'ran',
        counts: { claimed: 1, done: 1 },
      });
      expect(await bench.states()).toEqual({ sent: 10 });
    } finally {
      await operator.end();
    }
  });
});

it('an account whose first row is locked sends no row until the next tick, instead of its second', async () => {
  await bench.addDms(4, { accounts: 2 });
  const operator = new Client({ connectionString: stack.databaseUrl });
  await operator.connect();
  const order: number[] = [];
  const queue = bench.queue((row) => {
    order.push(placeOf(row));
    return done();
  });
  try {
    await operator.query('begin; select from punctual.dm_queue where id = 1 for no key update');
    await stackTick(queue, null, settings);
    expect(order).toEqual([2, 4]);
    await operator.query('commit');
    await stackTick(queue, null, settings);
    expect(order).toEqual([2, 4, 1, 3]);
  } finally {
    await operator.end();
  }
});

describe('a queue with max_ticks = 1', () => {
  it('admits exactly one of eight ticks at once and skips seven, in every round', async () => {
    await setRegistry({ max_ticks: 1 });
    await bench.addDms(15);
    for (let round = 1; round <= 5; round++) {
      let ended = 0;
      let othersEnded = () => {};
      const others = new Promise<void>((resolve) => {
        othersEnded = resolve;
      });
      const queue = bench.queue(async () => {
        await others;
        return done();
      });
      await setRegistry({ batch_limit: 3 });
      const reports = await Promise.all(
        Array.from({ length: 8 }, async () => {
          const report = await stackTick(queue, null, settings);
          if (++ended === 7) othersEnded();
          return report;
        }),
      );
      const outcomes = reports.map((report) => report.outcome).sort();
      expect(outcomes).toEqual(['ran', ...Array(7).fill('skipped')]);
      expect(await bench.states()).toEqual({
        sent: 3 * round,
        ...(round < 5 && { pending: 15 - 3 * round }),
      });
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
});

describe('one exchange that arrives three times at once', () => {
  const responseOf = (value: unknown) =>
    value as { claim_id: string; rows: { id: string }[]; settled: { done: number; exceptions: object[] } };
  const exchange = (tick: string, seq: number, args: object): Promise<ReturnType<typeof responseOf>> =>
    newRpc()('exchange', {
      p_tick: {
        id: tick,
        queue: 'dm_queue',
        partition: 'main',
        scheduler: 'test',
        limit_seconds: 60,
        lock: 'none',
        providers: ['unipile'],
      },
      p_seq: seq,
      ...args,
    }).then(responseOf, (error) => {
      // Two copies that block each other: one gets a lock timeout and repeats the call, as a tick does.
      if (error.code === '55P03') return exchange(tick, seq, args);
      throw error;
    });
  const threeTimes = <T>(call: () => Promise<T>) => Promise.all([call(), call(), call()]);
  const idsOf = (response: { rows: { id: string }[] }) => response.rows.map((row) => row.id);

  it('opens one tick, claims once and settles once, and every copy returns the same rows', async () => {
    await bench.addDms(200, { accounts: 200 });
    for (let round = 1; round <= 10; round++) {
      const tick = crypto.randomUUID();
      const opened = await threeTimes(() => exchange(tick, 1, { p_want: 5 }));
      const ids = idsOf(opened[0]);
      expect(new Set(ids).size).toBe(5);
      for (const response of opened) expect(idsOf(response)).toEqual(ids);
      expect(await stack.sql('select claimed from punctual.ticks where id = $1', [tick])).toEqual([
        { claimed: 5 },
      ]);

      const settle = { done: [{ claim_id: opened[0].claim_id, ids }] };
      const settled = await threeTimes(() => exchange(tick, 2, { p_want: 5, p_outcomes: settle }));
      const next = idsOf(settled[0]);
      expect(next).toHaveLength(5);
      expect(ids.some((id) => next.includes(id))).toBe(false);
      for (const response of settled) expect(idsOf(response)).toEqual(next);
      expect(settled.map((response) => response.settled.done).sort()).toEqual([0, 0, 5]);
      const last = { done: [{ claim_id: settled[0].claim_id, ids: next }] };
      await threeTimes(() => exchange(tick, 3, { p_outcomes: last, p_close: true }));
      expect(
        await stack.sql('select claimed, done, lost, outcome from punctual.ticks where id = $1', [tick]),
      ).toEqual([{ claimed: 10, done: 10, lost: 0, outcome: 'ran' }]);
      expect(await bench.states()).toEqual({
        sent: 10 * round,
        pending: 200 - 10 * round,
      });
    }
  });
});

describe('a tick that resumes after its lease', () => {
  const leaseMs = 120_000;
  /** Starts a tick whose one row runs until `finish` is called. */
  async function holdRow(aheadMs: number): Promise<{ finish(): Promise<TickReport> }> {
    let [isHeld, openGate] = [() => {}, () => {}];
    const held = new Promise<void>((resolve) => {
      isHeld = resolve;
    });
    const gate = new Promise<void>((resolve) => {
      openGate = resolve;
    });
    const queue = bench.queue(async () => {
      isHeld();
      await gate;
      return done();
    });
    const report = stackTick(queue, null, { ...settings, aheadMs });
    await held;
    return {
      finish() {
        openGate();
        return report;
      },
    };
  }
  const sweepingTick = () =>
    stackTick(
      bench.queue(() => done()),
      null,
      { ...settings, aheadMs: leaseMs },
    );

  it('brings proof that is accepted while the row is unknown', async () => {
    await bench.addDms(1);
    const late = await holdRow(0);
    expect(await sweepingTick()).toMatchObject({ outcome: 'ran', counts: { swept: 1, claimed: 0 } });
    expect(await bench.states()).toEqual({ unknown: 1 });
    expect((await late.finish()).counts).toMatchObject({ done: 1, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 1 });
  });

  it('changes nothing if another tick has the row by then', async () => {
    await bench.addDms(1);
    const late = await holdRow(0);
    await sweepingTick();
    await stack.sql(`update punctual.dm_queue set status = 'pending' where status = 'unknown'`); // an operator's decision
    const other = await holdRow(2 * leaseMs);
    expect((await late.finish()).counts).toMatchObject({ done: 0, lost: 1 });
    expect(await bench.states()).toEqual({ sending: 1 });
    expect((await other.finish()).counts).toMatchObject({ done: 1, lost: 0 });
    expect(await bench.states()).toEqual({ sent: 1 });
  });

  it('brings proof that is kept even if a session locks the row at that moment', async () => {
    await bench.addDms(1);
    await stack.sql('delete from punctual.history');
    const late = await holdRow(0);
    await sweepingTick();
    await stack.sql(`update punctual.dm_queue set status = 'pending' where status = 'unknown'`);
    const other = await holdRow(2 * leaseMs);
    const operator = new Client({ connectionString: stack.databaseUrl });
    await operator.connect();
    await operator.query('begin; select from punctual.dm_queue for no key update');
    let isReported = false;
    const reporting = late.finish().then(() => {
      isReported = true;
    });
    const isWaiting = () =>
      stack.sql(`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%exchange%'`);
    while (!isReported && (await isWaiting()).length === 0);
    await operator.query('rollback');
    await operator.end();
    await reporting;
    expect(await stack.sql(`select event from punctual.history where event = 'late'`)).toHaveLength(1);
    await other.finish();
  });
});
