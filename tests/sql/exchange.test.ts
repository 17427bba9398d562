import { describe, expect, it } from 'vitest';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';

const database = testDatabase();
const sql = perTestExchanges(database);

const ids = (rows: { id: string }[]) => rows.map(({ id }) => id).sort();
const settled = (rows: { id: string }[], claim_id: string, outcome = 'done') => ({
  records: rows.map(({ id }) => ({ id, claim_id, outcome })),
});
const addDms = async (count: number) => {
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await sql.addDm(await sql.addAccount()));
  return ids;
};
const change = (set: string) => database.sql(`update punctual.queues set ${set}`);

describe('a repeated exchange', () => {
  it('returns the rows that still run under its claim, and claims no others', async () => {
    await addDms(6);
    const tick = sql.tick();
    const first = await tick.claim(3);
    const again = await tick.claim(3, 1);
    expect(ids(again.rows)).toEqual(ids(first.rows));
    expect(again.rows).toContainEqual(first.rows[0]);
    expect(await database.sql(`select from punctual.dm_queue where status = 'sending'`)).toHaveLength(3);
  });

  it('leaves out rows that have been settled since', async () => {
    await addDms(3);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(3);
    const again = await tick.exchange({ seq: 1, want: 3, outcomes: settled(rows.slice(0, 1), claimId) });
    expect(again.settled).toMatchObject({ done: 1 });
    expect(ids(again.rows)).toEqual(ids(rows.slice(1)));
  });

  it('with outcomes settles and counts them once', async () => {
    await addDms(4);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(2);
    const call = { seq: 2, outcomes: settled(rows, claimId), want: 2 };
    const second = await tick.exchange(call);
    const repeated = await tick.exchange(call);
    expect(ids(repeated.rows)).toEqual(ids(second.rows));
    expect(repeated.settled).toMatchObject({ done: 0, lost: 0 });
    expect(await database.sql('select claimed, done from punctual.ticks')).toEqual([{ claimed: 4, done: 2 }]);
  });

  it('that found no rows the first time claims none the second time, though some are due by then', async () => {
    await addDms(1);
    const tick = sql.tick();
    const call = { want: 5, seq: 2 };
    expect((await tick.exchange({ want: 1, seq: 1 })).rows).toHaveLength(1);
    expect((await tick.exchange(call)).rows).toEqual([]);
    await addDms(1);
    await database.sql(`update punctual.pace set ready_at = '2026-01-01' where claim_id is null`);
    // The second copy of the call may reach the database last, when the tick no longer waits for its rows.
    expect((await tick.exchange(call)).rows).toEqual([]);
    expect((await tick.exchange({ want: 5, seq: 3 })).rows).toHaveLength(1);
  });

  it('that closed the tick reports so again', async () => {
    const tick = sql.tick();
    for (const _ of ['first', 'again'])
      expect(await tick.exchange({ seq: 1, want: 5, close: true })).toMatchObject({
        closed: true,
        outcome: 'idle',
        due: 0,
      });
  });

  it('that asks to close the tick returns its rows first, and the tick closes once they are released', async () => {
    const [id = ''] = await addDms(1);
    const tick = sql.tick();
    await tick.claim(1);
    const { rows, claimId, closed } = await tick.exchange({ seq: 1, close: true });
    expect({ ids: ids(rows), closed }).toEqual({ ids: [id], closed: false });
    const release = { seq: 2, outcomes: settled(rows, claimId, 'release'), close: true };
    const counts = { claimed: 1, released: 1 };
    expect(await tick.exchange(release)).toMatchObject({ closed: true, counts });
    expect(await sql.dm(id)).toMatchObject({ status: 'pending', attempts: 0 });
  });

  it('with an older number claims and closes nothing, and returns the rows that still run under its claim', async () => {
    await addDms(4);
    const tick = sql.tick();
    const first = await tick.claim(2);
    sql.pass(1);
    const second = await tick.exchange({ seq: 2, want: 1 });
    const again = await tick.exchange({ seq: 1, want: 2, close: true });
    expect({ ids: ids(again.rows), closed: again.closed }).toEqual({ ids: ids(first.rows), closed: false });
    expect(ids((await tick.exchange({ seq: 2, want: 2 })).rows)).toEqual(ids(second.rows));
    expect(again.counts.claimed).toBe(3);
  });

  it('that arrives after one with a higher number settles, and claims and closes nothing', async () => {
    await addDms(3);
    const tick = sql.tick();
    const { rows, claimId } = await tick.claim(1);
    await tick.exchange({ seq: 3, want: 1 });
    const late = { seq: 2, outcomes: settled(rows, claimId, 'done'), want: 1, close: true };
    expect(await tick.exchange(late)).toMatchObject({
      rows: [],
      closed: false,
      counts: { claimed: 2, done: 1 },
    });
  });
});

describe('ticks of one partition', () => {
  it.each([1, 2])('run side by side up to max_ticks = %i, and no further', async (max_ticks) => {
    await change(`max_ticks = ${max_ticks}`);
    await addDms(3);
    for (let n = 0; n < max_ticks; n++) expect(await sql.tick().claim(1)).toMatchObject({ admitted: true });
    const skipped = { admitted: false, rows: [], closed: true, outcome: 'skipped' };
    expect(await sql.tick().claim(1)).toMatchObject(skipped);
  });

  it('count as open until their limit has passed if they died, and then as died', async () => {
    await addDms(1);
    const dead = sql.tick();
    await dead.claim(0);
    sql.pass(59);
    expect(await sql.tick().claim()).toMatchObject({ admitted: false });
    sql.pass(2);
    expect(await sql.tick().claim()).toMatchObject({ admitted: true });
    const [{ outcome }] = await database.sql('select outcome from punctual.ticks where id = $1', [dead.id]);
    expect(outcome).toBe('died');
  });

  it('claim nothing after they are closed or their limit has passed', async () => {
    await addDms(4);
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
    const first = await sql.tick({ slot }).exchange({ want: 1, close: true });
    expect(first).toMatchObject({ duplicate: false });
    await addDms(1);
    const second = { duplicate: true, admitted: true, rows: [expect.anything()] };
    expect(await sql.tick({ slot }).claim()).toMatchObject(second);
  });

  it('respect a held lock if only one may run, and ignore it if more may run', async () => {
    await addDms(1);
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: false, outcome: 'skipped' });
    await change('max_ticks = 2');
    expect(await sql.tick({ lock: 'held' }).claim()).toMatchObject({ admitted: true });
  });
});

it('an unknown queue or partition is refused, with what to do', async () => {
  await expect(sql.tick({ queue: 'nothing' }).claim()).rejects.toMatchObject({
    kind: 'misconfigured',
    message: expect.stringContaining('add_queue'),
  });
  await expect(sql.tick({ partition: 'mars' }).claim()).rejects.toThrow(/no partition "mars"/);
});

it('the report of a tick is stored in the ledger beside the database’s own counts', async () => {
  await addDms(2);
  const tick = sql.tick();
  const { rows, claimId } = await tick.claim(2);
  const report = { usedMs: 12, ended: 'drained' };
  await tick.exchange({
    outcomes: settled(rows, claimId),
    close: true,
    report: { queue: 'dm_queue', ...report, counts: { done: 0 } },
  });
  // The stored report leaves out values that have a column.
  const entry = {
    outcome: 'ran',
    claimed: 2,
    done: 2,
    report: { ...report, backlogDue: 0, nextDueInMs: null },
  };
  expect(await database.sql('select outcome, claimed, done, report from punctual.ticks')).toEqual([entry]);
});
