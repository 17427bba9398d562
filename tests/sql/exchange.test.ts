import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase();
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
});

const ids = (reply: { rows: { id: string }[] }) => reply.rows.map((row) => row.id).sort();

const dms = async (count: number) => {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(await sql.addAccount()));
  return ids;
};

describe('a repeated exchange', () => {
  it('answers the rows that still run under its claim, and claims no others', async () => {
    await dms(6);
    const tick = sql.tick();
    const first = await tick.claim(3);
    const again = await tick.claim(3, 1);
    expect(ids(again)).toEqual(ids(first));
    expect(again.rows.find((row) => row.id === first.rows[0]?.id)).toEqual(first.rows[0]);
    expect(
      await database.sql(`select count(*)::integer as n from punctual.dm_queue where status = 'sending'`),
    ).toEqual([{ n: 3 }]);
  });

  it('leaves out rows that were settled since', async () => {
    await dms(3);
    const tick = sql.tick();
    const first = await tick.claim(3);
    const records = [{ id: first.rows[0]?.id ?? '', claim_id: first.claimId, outcome: 'done' }];
    const again = await tick.exchange({ seq: 1, want: 3, outcomes: { records } });
    expect(again.settled).toMatchObject({ done: 1 });
    expect(ids(again)).toEqual(ids({ rows: first.rows.slice(1) }));
  });

  it('that settles as well changes nothing the second time, and does not count it', async () => {
    await dms(4);
    const tick = sql.tick();
    const first = await tick.claim(2);
    const records = first.rows.map((row) => ({ id: row.id, claim_id: first.claimId, outcome: 'done' }));
    const call = { seq: 2, outcomes: { records }, want: 2 };
    const second = await tick.exchange(call);
    const repeated = await tick.exchange(call);
    expect(ids(repeated)).toEqual(ids(second));
    expect(repeated.settled).toMatchObject({ done: 0, lost: 0 });
    expect(await database.sql('select claimed, done from punctual.ticks')).toEqual([{ claimed: 4, done: 2 }]);
  });

  it('that comes late, after a later one, claims nothing', async () => {
    await dms(1);
    const tick = sql.tick();
    const early = { want: 5, seq: 2 };
    expect((await tick.exchange({ want: 1, seq: 1 })).rows).toHaveLength(1);
    expect((await tick.exchange(early)).rows).toEqual([]);
    await dms(1);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01' where claim_id is null`);
    // The same call once more, arrived twice: it found nothing the first time, and takes nothing that nobody would hear of.
    expect((await tick.exchange(early)).rows).toEqual([]);
    expect((await tick.exchange({ want: 5, seq: 3 })).rows).toHaveLength(1);
  });

  it('that closed the tick says so again', async () => {
    const tick = sql.tick();
    const call = { seq: 1, want: 5, close: true };
    expect(await tick.exchange(call)).toMatchObject({ closed: true, outcome: 'idle', due: 0 });
    expect(await tick.exchange(call)).toMatchObject({ closed: true, outcome: 'idle', due: 0 });
  });

  it('that is to close the tick answers its rows first, and closes it once they are released', async () => {
    const [id = ''] = await dms(1);
    const tick = sql.tick();
    await tick.claim(1);
    const { rows, claimId, closed } = await tick.exchange({ seq: 1, close: true });
    expect({ ids: rows.map((row) => row.id), closed }).toEqual({ ids: [id], closed: false });
    const records = [{ id, claim_id: claimId, outcome: 'release' }];
    expect(await tick.exchange({ seq: 2, outcomes: { records }, close: true })).toMatchObject({
      closed: true,
      counts: { claimed: 1, released: 1 },
    });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0 });
  });

  it('of an older number answers, claims and closes nothing, though its rows still run and others are due', async () => {
    await dms(4);
    const tick = sql.tick();
    await tick.claim(2);
    await tick.exchange({ seq: 2 });
    expect(await tick.exchange({ seq: 1, want: 2, close: true })).toMatchObject({ rows: [], closed: false });
  });
});

describe('ticks of one partition', () => {
  it('are one at a time: the second is told to leave, claims nothing, and stands in the ledger', async () => {
    await dms(2);
    await sql.tick().claim(1);
    const second = await sql.tick().claim(1);
    expect(second).toMatchObject({ admitted: false, rows: [], closed: true, outcome: 'skipped' });
  });

  it('may be more where the registry says so, and no more than that', async () => {
    await database.sql('update punctual.queues set max_ticks = 2');
    await dms(3);
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: true });
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: true });
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: false });
  });

  it('count until their limit has passed when they died, and then as died', async () => {
    await dms(1);
    const dead = sql.tick();
    await dead.claim(0);
    sql.pass(59);
    expect(await sql.tick().claim()).toMatchObject({ admitted: false });
    sql.pass(2);
    expect(await sql.tick().claim()).toMatchObject({ admitted: true });
    expect(await database.sql('select outcome from punctual.ticks where id = $1', [dead.id])).toEqual([
      { outcome: 'died' },
    ]);
  });

  it('get nothing more after they were closed or their limit has passed', async () => {
    await dms(4);
    const closed = sql.tick();
    await closed.claim(1);
    await closed.close();
    expect((await closed.claim()).rows).toEqual([]);
    const late = sql.tick();
    expect((await late.claim(1)).rows).toHaveLength(1);
    sql.pass(61);
    expect((await late.claim()).rows).toEqual([]);
    expect((await sql.tick().claim()).rows).toHaveLength(2);
  });

  it('that answer a slot twice are both let in turn, and the second is marked', async () => {
    const slot = '2026-03-02T12:00:00Z';
    expect(await sql.tick({ slot }).exchange({ want: 1, close: true })).toMatchObject({
      duplicate: false,
    });
    await dms(1);
    const second = await sql.tick({ slot }).claim();
    expect(second).toMatchObject({ duplicate: true, admitted: true });
    expect(second.rows).toHaveLength(1);
  });

  it('see a held lock respected where one tick is the most, and ignored where more may run', async () => {
    await dms(1);
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: false, outcome: 'skipped' });
    await database.sql('update punctual.queues set max_ticks = 2');
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: true });
  });
});

describe('the registry', () => {
  it('is obeyed by the next exchange: batch limit, pause, and its reason', async () => {
    await dms(6);
    await database.sql('update punctual.queues set batch_limit = 3');
    const tick = sql.tick();
    expect((await tick.claim(2)).rows).toHaveLength(2);
    expect((await tick.claim(5)).rows).toHaveLength(1);
    await tick.close();
    await database.sql(
      `update punctual.queues set batch_limit = null, paused_at = $1, paused_reason = 'holiday'`,
      [sql.now],
    );
    expect(await sql.tick().claim()).toMatchObject({
      paused: 'holiday',
      rows: [],
      closed: true,
      outcome: 'paused',
    });
  });

  it('gives as many rows as may run side by side to a tick that does not know yet', async () => {
    await dms(8);
    expect((await sql.tick().exchange({ want: null })).rows).toHaveLength(5);
  });

  it('refuses a queue or a partition that it does not know, and says what to do', async () => {
    await expect(sql.tick({ queue: 'nothing' }).claim()).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringContaining('add_queue'),
    });
    await expect(sql.tick({ partition: 'mars' }).claim()).rejects.toThrow(/no partition "mars"/);
  });
});

describe('the report', () => {
  it('is kept in the ledger with the counts that the database knows', async () => {
    await dms(2);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(2);
    const records = rows.map((row) => ({ id: row.id, claim_id: claimId, outcome: 'done' }));
    await tick.exchange({
      outcomes: { records },
      close: true,
      report: { queue: 'dm_queue', usedMs: 12, ended: 'drained', counts: { done: 0 } },
    });
    // Once: what is a column is in no report.
    expect(await database.sql('select outcome, claimed, done, report from punctual.ticks')).toEqual([
      {
        outcome: 'ran',
        claimed: 2,
        done: 2,
        report: { usedMs: 12, ended: 'drained', backlogDue: 0, nextDueInMs: 0 },
      },
    ]);
  });
});
