import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges, finding, type Unknown as TakenRow } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  process.env.STACK_POSTGRES ??= '15';
  database = await openTestDatabase();
});
afterAll(() => database?.close());
beforeEach(async () => {
  await database.reset();
  await database.sql(
    `update punctual.queues set batch_limit = null, max_ticks = 100 where name = 'dm_queue'`,
  );
  sql = exchanges(database);
});

interface Unknown {
  id: string;
  claim_id: string;
  account: string;
}

/** Adds `count` unknown rows, each of its own account. Returns them in the order of their ids. */
async function addUnknown(count: number, body = 'hello'): Promise<Unknown[]> {
  await database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
       select 'unipile', gen_random_uuid()::text, 'A', 1000 from generate_series(1, $1::integer) returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', $2, $3 from a`,
    [count, body, sql.now],
  );
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(count);
  expect(rows).toHaveLength(count);
  const records = rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'unknown', error: 'e' }));
  await tick.settle(records, { close: true });
  return rows
    .map(({ id, account }) => ({ id, claim_id: claimId, account: account?.id ?? '' }))
    .sort((a, b) => Number(a.id) - Number(b.id));
}

type Tick = ReturnType<typeof sql.tick>;
/** Opens ticks in advance, because opening takes the partition's lock and such calls would wait for each other. */
async function openTicks(count: number): Promise<Tick[]> {
  const ticks = Array.from({ length: count }, () => sql.tick({ limit_seconds: 800 }));
  for (const tick of ticks) await tick.exchange();
  return ticks;
}
const proof = (message_id: string) => ({ proof: [{ message_id }], text: 'found' });
const states = async () => {
  const rows = await database.sql('select status, count(*)::integer as n from punctual.dm_queue group by 1');
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
};
/** Counts how the calls ended. A conflict is a valid response, any other error is not. */
async function outcomesOf(calls: unknown[]): Promise<{ ok: number; conflicts: number; others: string[] }> {
  const settled = await Promise.allSettled(calls);
  const errors = settled.flatMap((one) =>
    one.status === 'rejected' ? [one.reason as { code: string; message: string }] : [],
  );
  return {
    ok: settled.length - errors.length,
    conflicts: errors.filter(({ code }) => code === 'PT409').length,
    others: errors.filter(({ code }) => code !== 'PT409').map(({ code, message }) => `${code}: ${message}`),
  };
}
const deadlocks = async () =>
  (
    await database.sql(
      'select deadlocks::integer as n from pg_stat_database where datname = current_database()',
    )
  )[0].n;
/** Waits first, because Postgres reports its statistics up to a second late. */
async function expectNoDeadlock(before: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await deadlocks()).toBe(before);
}

describe('one message that two checks at once find for two rows', () => {
  it('proves exactly one of the rows, fifty times over', async () => {
    await addUnknown(100);
    sql.pass(60);
    const checks = await sql.takeUnknown();
    expect(checks).toHaveLength(100);
    const pairs = Array.from({ length: 50 }, (_, n) => [
      checks[2 * n] as TakenRow,
      checks[2 * n + 1] as TakenRow,
    ]);
    for (const [n, pair] of pairs.entries()) {
      const findings = pair.map((check) => finding(check, proof(`m${n}`)));
      const replies = await Promise.all(findings.map((one) => sql.settleFindings([one])));
      expect(replies.map(({ done }) => done).sort()).toEqual([0, 1]);
    }
    expect(await states()).toEqual({ sent: 50, unknown: 50 });
    const [{ n }] = await database.sql(
      'select count(distinct provider_message_id)::integer as n from punctual.dm_queue',
    );
    expect(n).toBe(50);
  });

  it('proves as many rows as there are messages, even if every check found all messages in another order', async () => {
    await addUnknown(40);
    sql.pass(60);
    const checks = await sql.takeUnknown();
    const messages = Array.from({ length: 25 }, (_, n) => ({ message_id: `m${n}` }));
    const findings = checks.map((check, n) =>
      finding(check, {
        proof: n % 2 ? messages : [...messages].reverse(),
        text: 'found',
        ...(n % 3 === 0 && { candidates: ['m0'] }),
      }),
    );
    const before = await deadlocks();
    const calls = Array.from({ length: 8 }, (_, n) =>
      sql.settleFindings(findings.filter((_one, index) => index % 8 === n)),
    );
    expect((await outcomesOf(calls)).others).toEqual([]);
    expect(await states()).toEqual({ sent: 25, unknown: 15 });
    const rows = await database.sql(
      `select distinct provider_message_id from punctual.dm_queue where status = 'sent'`,
    );
    expect(rows).toHaveLength(25);
    await expectNoDeadlock(before);
  });
});

describe('a check, a receipt, late proof and an operator at once on the same row', () => {
  it('end with the row sent and cause no deadlock, fifty times over', async () => {
    const rows = await addUnknown(50);
    sql.pass(60);
    const checks = new Map((await sql.takeUnknown()).map((check) => [check.id, check]));
    expect(checks.size).toBe(50);
    const before = await deadlocks();
    const [sending] = await openTicks(1);
    for (const row of rows) {
      const check = checks.get(row.id) as TakenRow;
      const reference = `dm_queue/${row.id}/${row.claim_id}`;
      const late = {
        id: row.id,
        claim_id: row.claim_id,
        outcome: 'done',
        result: { provider_message_id: `m${row.id}` },
      };
      const { others } = await outcomesOf([
        sql.settleFindings([finding(check, proof(`m${row.id}`))]),
        sql.receive([{ kind: 'status', status: 'delivered', message_id: `m${row.id}`, reference }]),
        sql.tick().exchange({ want: 0, close: true }),
        sending?.settle([late]),
        sql.resolve(row.id, 'cancelled'),
        sql.resolve(row.id, 'pending'),
        sql.resolve(row.id, 'dead'),
      ]);
      expect(others).toEqual([]);
    }
    // Whichever call came first, proof of delivery prevails.
    await sql.tick().exchange({ want: 0, close: true });
    expect(await states()).toEqual({ sent: 50 });
    const proved = await database.sql('select id, provider_message_id from punctual.dm_queue order by id');
    for (const { id, provider_message_id } of proved) expect(provider_message_id).toBe(`m${id}`);
    expect(await database.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
    await expectNoDeadlock(before);
  });

  it('let one of four decisions at once win, or a cancellation after a retry', async () => {
    for (const row of await addUnknown(30)) {
      const decisions = ['done', 'pending', 'dead', 'cancelled'];
      const calls = decisions.map((decision) => sql.resolve(row.id, decision));
      const settled = await Promise.allSettled(calls);
      const won = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value.status] : []));
      // A second decision is valid only if the first made the row pending: then it may be cancelled.
      expect(
        won.length === 1 || (won.includes('pending') && won.includes('cancelled') && won.length === 2),
      ).toBe(true);
      const { status } = await sql.dm(row.id);
      expect(won).toContain(status);
      const decided = (await sql.history(row.id)).filter(([event]) => event === 'decided');
      expect(decided).toHaveLength(won.length);
    }
  });

  it('hand out each check to one of eight ticks at once', async () => {
    const rows = await addUnknown(40);
    sql.pass(60);
    const given = await Promise.all(Array.from({ length: 8 }, () => sql.takeUnknown({ want: 10 })));
    const ids = given.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThanOrEqual(10);
    expect(ids.length).toBeLessThanOrEqual(rows.length);
  });
});

describe('calls over many rows, each in its own order', () => {
  it.each<[others: string, beside: () => Promise<unknown>[]]>([
    ['settles', () => []],
    [
      'settles, with an operator who changes all accounts,',
      () => [database.sql('update punctual.accounts set gap_jitter_seconds = gap_jitter_seconds + 1')],
    ],
  ])(
    'cause no deadlock between checks that prove absence and %s of the same accounts',
    async (_others, beside) => {
      const before = await deadlocks();
      for (let round = 0; round < 8; round++) {
        const unknown = await addUnknown(40);
        sql.pass(800);
        const checks = await sql.takeUnknown();
        expect(checks).toHaveLength(40);
        // Each account has another row under way.
        await database.sql(
          `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select account_id, 'linkedin', 'c', 'next', $2
           from punctual.dm_queue where id = any ($1)`,
          [unknown.map(({ id }) => id), sql.now],
        );
        const tick = sql.tick();
        const { rows, claimId } = await tick.claim(100);
        expect(rows).toHaveLength(40);
        const records = rows.map(({ id }) => ({ id, claim_id: claimId, outcome: 'done' }));
        const absent = checks.map((check) => finding(check, { absent_after_seconds: 1, text: 'not there' }));
        const { others } = await outcomesOf([
          sql.settleFindings(absent),
          tick.settle(records, { close: true }),
          ...beside(),
        ]);
        expect(others).toEqual([]);
        // A check skips accounts that the settle has locked, so its finding is sent again.
        await sql.settleFindings(absent);
        const settled = await database.sql(
          `select status, count(*)::integer as n from punctual.dm_queue group by 1 order by 1`,
        );
        expect(settled).toEqual([
          { status: 'pending', n: 40 },
          { status: 'sent', n: 40 },
        ]);
        await database.sql('delete from punctual.dm_queue');
        await database.sql('delete from punctual.accounts');
      }
      await expectNoDeadlock(before);
    },
  );

  it('cause no deadlock between checks, late proof, receipts and decisions on ids 5 to 105', async () => {
    const before = await deadlocks();
    const rows = (await addUnknown(105)).slice(4);
    sql.pass(60);
    const checks = (await sql.takeUnknown({ want: 200 })).filter(({ id }) => Number(id) >= 5);
    const late = rows.map(({ id, claim_id }) => ({
      id,
      claim_id,
      outcome: 'done',
      result: { provider_message_id: `m${id}` },
    }));
    const findings = checks.map((check) => finding(check, proof(`m${check.id}`)));
    const receipts = rows.map(({ id, claim_id }) => ({
      kind: 'status',
      status: 'sent',
      message_id: `m${id}`,
      reference: `dm_queue/${id}/${claim_id}`,
    }));
    const half = findings.length / 2;
    const [sending] = await openTicks(1);
    const { others } = await outcomesOf([
      sql.settleFindings(findings.slice(0, half)),
      sql.settleFindings([...findings].reverse().slice(0, half + 20)),
      sending?.settle(late),
      sql.receive(receipts),
      sql.receive([...receipts].reverse()),
      ...Array.from({ length: 4 }, () => sql.tick().exchange({ want: 0, close: true })),
      ...rows.slice(0, 20).map(({ id }) => sql.resolve(id, 'dead')),
    ]);
    expect(others).toEqual([]);
    await sql.tick().exchange({ want: 0, close: true });
    const [{ n }] = await database.sql(
      `select count(*)::integer as n from punctual.dm_queue where status = 'sent' and provider_message_id = 'm' || id`,
    );
    expect(n).toBe(101);
    await expectNoDeadlock(before);
  });
});
