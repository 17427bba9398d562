import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

const ids = (reply: { rows: { id: string }[] }) => reply.rows.map((row) => row.id).sort();

const dms = async (count: number) => {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(await sql.addAccount()));
  return ids;
};

describe('a repeated exchange', () => {
  it('returns the rows that still run under its claim, and claims no others', async () => {
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

  it('leaves out rows that have been settled since', async () => {
    await dms(3);
    const tick = sql.tick();
    const first = await tick.claim(3);
    const records = [{ id: first.rows[0]?.id ?? '', claim_id: first.claimId, outcome: 'done' }];
    const again = await tick.exchange({ seq: 1, want: 3, outcomes: { records } });
    expect(again.settled).toMatchObject({ done: 1 });
    expect(ids(again)).toEqual(ids({ rows: first.rows.slice(1) }));
  });

  it('with outcomes settles and counts them once', async () => {
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

  it('that found no rows the first time claims none the second time, though some are due by then', async () => {
    await dms(1);
    const tick = sql.tick();
    const call = { want: 5, seq: 2 };
    expect((await tick.exchange({ want: 1, seq: 1 })).rows).toHaveLength(1);
    expect((await tick.exchange(call)).rows).toEqual([]);
    await dms(1);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01' where claim_id is null`);
    // The second copy of the call may reach the database last, when the tick no longer waits for its rows.
    expect((await tick.exchange(call)).rows).toEqual([]);
    expect((await tick.exchange({ want: 5, seq: 3 })).rows).toHaveLength(1);
  });

  it('that closed the tick reports so again', async () => {
    const tick = sql.tick();
    const call = { seq: 1, want: 5, close: true };
    expect(await tick.exchange(call)).toMatchObject({ closed: true, outcome: 'idle', due: 0 });
    expect(await tick.exchange(call)).toMatchObject({ closed: true, outcome: 'idle', due: 0 });
  });

  it('that asks to close the tick returns its rows first, and the tick closes once they are released', async () => {
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

  it('with an older number returns, claims and closes nothing, though its rows still run and others are due', async () => {
    await dms(4);
    const tick = sql.tick();
    await tick.claim(2);
    await tick.exchange({ seq: 2 });
    expect(await tick.exchange({ seq: 1, want: 2, close: true })).toMatchObject({ rows: [], closed: false });
  });
});

describe('ticks of one partition', () => {
  it('run one at a time: a second tick is not admitted, claims nothing and ends as skipped', async () => {
    await dms(2);
    await sql.tick().claim(1);
    const second = await sql.tick().claim(1);
    expect(second).toMatchObject({ admitted: false, rows: [], closed: true, outcome: 'skipped' });
  });

  it('run side by side up to max_ticks', async () => {
    await database.sql('update punctual.queues set max_ticks = 2');
    await dms(3);
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: true });
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: true });
    expect(await sql.tick().claim(1)).toMatchObject({ admitted: false });
  });

  it('count as open until their limit has passed if they died, and then as died', async () => {
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

  it('claim nothing after they are closed or their limit has passed', async () => {
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

  it('for the same slot are both admitted in turn, and the second is marked as a duplicate', async () => {
    const slot = '2026-03-02T12:00:00Z';
    expect(await sql.tick({ slot }).exchange({ want: 1, close: true })).toMatchObject({
      duplicate: false,
    });
    await dms(1);
    const second = await sql.tick({ slot }).claim();
    expect(second).toMatchObject({ duplicate: true, admitted: true });
    expect(second.rows).toHaveLength(1);
  });

  it('respect a held lock if only one may run, and ignore it if more may run', async () => {
    await dms(1);
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: false, outcome: 'skipped' });
    await database.sql('update punctual.queues set max_ticks = 2');
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: true });
  });
});

describe('the registry', () => {
  it('sets the batch limit and the pause of the next exchange', async () => {
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

  it('gives a tick that sends no `want` as many rows as its concurrency', async () => {
    await dms(8);
    expect((await sql.tick().exchange({ want: null })).rows).toHaveLength(5);
  });

  it('refuses an unknown queue or partition, and says what to do', async () => {
    await expect(sql.tick({ queue: 'nothing' }).claim()).rejects.toMatchObject({
      kind: 'misconfigured',
      message: expect.stringContaining('add_queue'),
    });
    await expect(sql.tick({ partition: 'mars' }).claim()).rejects.toThrow(/no partition "mars"/);
  });
});

describe('the report', () => {
  it('is stored in the ledger beside the database’s own counts', async () => {
    await dms(2);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(2);
    const records = rows.map((row) => ({ id: row.id, claim_id: claimId, outcome: 'done' }));
    await tick.exchange({
      outcomes: { records },
      close: true,
      report: { queue: 'dm_queue', usedMs: 12, ended: 'drained', counts: { done: 0 } },
    });
    // The stored report leaves out values that have a column.
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
