import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { finding, type Unknown } from '../support/exchanges.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);
beforeEach(() =>
  database.sql(`update punctual.queues set batch_limit = null, max_ticks = 100 where name = 'dm_queue'`),
);

/** Adds `count` unknown rows, each of its own account, and takes their checks after `afterSeconds`, in the order of their ids. */
async function takeUnknown(count: number, afterSeconds = 60): Promise<Unknown[]> {
  await addUnknown(count);
  sql.pass(afterSeconds);
  const checks = await sql.takeUnknown({ want: count });
  expect(checks).toHaveLength(count);
  return checks.sort((a, b) => Number(a.id) - Number(b.id));
}

async function addUnknown(count: number): Promise<void> {
  await database.sql(
    `with a as (insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
       select 'unipile', gen_random_uuid()::text, 'A', 1000 from generate_series(1, $1::integer) returning id)
     insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at) select id, 'linkedin', 'c', 'hello', $2 from a`,
    [count, sql.now],
  );
  const settle = await claimAll(count, 'unknown');
  await settle();
}

/** Claims `count` rows. Returns the call that settles all of them. */
async function claimAll(count: number, outcome: string) {
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(count);
  expect(rows).toHaveLength(count);
  const records = rows.map(({ id }) => ({ id, claim_id: claimId, outcome, error: 'e' }));
  return () => tick.settle(records, { close: true });
}

const proof = (message_id: string) => ({ proof: [{ message_id }], text: 'found' });
/** A receipt and a late outcome, each with the message of a row's unknown attempt. */
const receiptOf = ({ id, claim_id }: Unknown) => ({
  kind: 'status',
  status: 'delivered',
  message_id: `m${id}`,
  reference: `dm_queue/${id}/${claim_id}`,
});
const lateProofOf = ({ id, claim_id }: Unknown) => ({
  id,
  claim_id,
  outcome: 'done',
  result: { provider_message_id: `m${id}` },
});
const closeTick = () => sql.tick().exchange({ want: 0, close: true });

const states = async () => {
  const rows = await database.sql('select status, count(*)::integer as n from punctual.dm_queue group by 1');
  return Object.fromEntries(rows.map((row) => [row.status, row.n]));
};
const sentMessages = () =>
  database.sql(
    `select id, provider_message_id as message from punctual.dm_queue where status = 'sent' order by id`,
  );

/** Waits for calls made at once. A conflict is a valid response, any other error is not. */
async function expectOnlyConflicts(calls: (Promise<unknown> | undefined)[]): Promise<void> {
  const settled = await Promise.allSettled(calls);
  const errors = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  expect(errors.filter(({ code }) => code !== 'PT409')).toEqual([]);
}

async function expectNoDeadlock(run: () => Promise<void>): Promise<void> {
  const deadlocks = async () =>
    database.sql('select deadlocks::integer from pg_stat_database where datname = current_database()');
  const before = await deadlocks();
  await run();
  // Postgres reports its statistics up to a second late.
  await sleep(1_500);
  expect(await deadlocks()).toEqual(before);
}

describe('one message that two checks at once find for two rows', () => {
  it('proves exactly one of the rows, fifty times over', async () => {
    const checks = await takeUnknown(100);
    for (let n = 0; n < 50; n++) {
      const pair = checks.slice(2 * n, 2 * n + 2);
      const replies = await Promise.all(
        pair.map((check) => sql.settleFindings([finding(check, proof(`m${n}`))])),
      );
      expect(replies.map(({ done }) => done).sort()).toEqual([0, 1]);
    }
    expect(await states()).toEqual({ sent: 50, unknown: 50 });
    expect(new Set((await sentMessages()).map(({ message }) => message)).size).toBe(50);
  });

  it('proves as many rows as there are messages, even if every check found all messages in another order', async () => {
    const checks = await takeUnknown(40);
    const messages = Array.from({ length: 25 }, (_, n) => ({ message_id: `m${n}` }));
    const findings = checks.map((check, n) =>
      finding(check, {
        proof: n % 2 ? messages : [...messages].reverse(),
        text: 'found',
        ...(n % 3 === 0 && { candidates: ['m0'] }),
      }),
    );
    await expectNoDeadlock(() =>
      expectOnlyConflicts(
        Array.from({ length: 8 }, (_, n) => sql.settleFindings(findings.filter((_one, i) => i % 8 === n))),
      ),
    );
    expect(await states()).toEqual({ sent: 25, unknown: 15 });
    expect(new Set((await sentMessages()).map(({ message }) => message)).size).toBe(25);
  });
});

describe('a check, a receipt, late proof and an operator at once on the same row', () => {
  it('end with the row sent and cause no deadlock, fifty times over', async () => {
    const checks = await takeUnknown(50);
    // It is open in advance, because opening takes the partition's lock, for which the calls would wait.
    const sending = sql.tick({ limit_seconds: 800 });
    await sending.exchange();
    await expectNoDeadlock(async () => {
      for (const check of checks) {
        await expectOnlyConflicts([
          sql.settleFindings([finding(check, proof(`m${check.id}`))]),
          sql.receive([receiptOf(check)]),
          closeTick(),
          sending.settle([lateProofOf(check)]),
          sql.resolve(check.id, 'cancelled'),
          sql.resolve(check.id, 'pending'),
          sql.resolve(check.id, 'dead'),
        ]);
      }
    });
    // Whichever call came first, proof of delivery prevails.
    await closeTick();
    expect(await sentMessages()).toEqual(checks.map(({ id }) => ({ id: Number(id), message: `m${id}` })));
    expect(await database.sql('select distinct attempts from punctual.dm_queue')).toEqual([{ attempts: 1 }]);
  });

  it('let one of four decisions at once win, or a cancellation after a retry', async () => {
    for (const { id } of await takeUnknown(30)) {
      const settled = await Promise.allSettled(
        ['done', 'pending', 'dead', 'cancelled'].map((decision) => sql.resolve(id, decision)),
      );
      const won = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value.status] : []));
      // A second decision is valid only if the first made the row pending: then it may be cancelled.
      if (won.length !== 1) expect(won.sort()).toEqual(['cancelled', 'pending']);
      expect(won).toContain((await sql.dm(id)).status);
      const decided = (await sql.history(id)).filter(([event]) => event === 'decided');
      expect(decided).toHaveLength(won.length);
    }
  });

  it('hand out each check to one of eight ticks at once', async () => {
    await addUnknown(40);
    sql.pass(60);
    const given = await Promise.all(Array.from({ length: 8 }, () => sql.takeUnknown({ want: 10 })));
    const ids = given.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThanOrEqual(10);
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
      await expectNoDeadlock(async () => {
        for (let round = 0; round < 8; round++) {
          const checks = await takeUnknown(40, 800);
          // Each account has another row under way.
          await database.sql(
            `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
             select account_id, 'linkedin', 'c', 'next', $1 from punctual.dm_queue`,
            [sql.now],
          );
          const settle = await claimAll(40, 'done');
          const absent = checks.map((check) =>
            finding(check, { absent_after_seconds: 1, text: 'not there' }),
          );
          await expectOnlyConflicts([sql.settleFindings(absent), settle(), ...beside()]);
          // A check skips accounts that the settle has locked, so its finding is sent again.
          await sql.settleFindings(absent);
          expect(await states()).toEqual({ pending: 40, sent: 40 });
          await database.sql('delete from punctual.dm_queue');
          await database.sql('delete from punctual.accounts');
        }
      });
    },
  );

  it('cause no deadlock between checks, late proof, receipts and decisions on ids 5 to 105', async () => {
    const checks = (await takeUnknown(105)).slice(4);
    const findings = checks.map((check) => finding(check, proof(`m${check.id}`)));
    const receipts = checks.map(receiptOf);
    const half = findings.length / 2;
    const sending = sql.tick({ limit_seconds: 800 });
    await sending.exchange();
    await expectNoDeadlock(() =>
      expectOnlyConflicts([
        sql.settleFindings(findings.slice(0, half)),
        sql.settleFindings([...findings].reverse().slice(0, half + 20)),
        sending.settle(checks.map(lateProofOf)),
        sql.receive(receipts),
        sql.receive([...receipts].reverse()),
        ...Array.from({ length: 4 }, closeTick),
        ...checks.slice(0, 20).map(({ id }) => sql.resolve(id, 'dead')),
      ]),
    );
    await closeTick();
    expect(await sentMessages()).toEqual(checks.map(({ id }) => ({ id: Number(id), message: `m${id}` })));
  });
});
