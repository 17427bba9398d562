import { beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { perTest, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const tasks = perTest(() => makeTasks(database));
const sql = perTest(() => exchanges(database));
beforeEach(async () => {
  for (let n = 0; n < 3; n++)
    await tasks.add({ due: sql.at(-60), step: { left: true }, last_error: 'earlier' });
});

const newTick = (limitSeconds = 60) =>
  sql.tick({ queue: 'tasks', partition: 'a', limit_seconds: limitSeconds });
const states = async () => {
  const rows = await database.sql('select status from app.tasks order by id');
  return rows.map(({ status }) => status);
};

describe('rows that are done without a result', () => {
  it('are written under their claims, of which a call may bring several', async () => {
    const tick = newTick();
    const [one, two] = [await tick.claim(1), await tick.claim(2)];
    const done = [one, two].map(({ claimId, rows }) => ({
      claim_id: claimId,
      ids: rows.map(({ id }) => id),
    }));
    const { settled, counts } = await tick.exchange({ outcomes: { done } });
    expect(settled).toMatchObject({ done: 3, lost: 0, exceptions: [] });
    expect(counts).toMatchObject({ claimed: 3, done: 3 });
    const rows = await database.sql('select * from app.tasks');
    const state = {
      status: 'done',
      attempts: 1,
      lease_expires_at: null,
      last_error: null,
      step: { left: true },
    };
    expect(rows).toMatchObject(Array(3).fill(state));
    expect(rows.map(({ finished_at }) => new Date(finished_at).toISOString())).toEqual(
      Array(3).fill(sql.now),
    );
  });

  it('are judged if another claim has them, or if an earlier call has written them', async () => {
    const late = newTick(1);
    const { claimId, rows } = await late.claim(3);
    const ids = rows.map(({ id }) => id);
    const first = [{ claim_id: claimId, ids: ids.slice(0, 1) }];
    await late.exchange({ outcomes: { done: first } });
    sql.pass(100);
    // Sweeps the two others, which fall due later, and claims one of them.
    const next = newTick();
    await next.claim(2);
    await database.sql('update app.tasks set next_attempt_at = null where id = $1', [ids[1]]);
    expect((await next.claim(1)).rows.map(({ id }) => id)).toEqual([ids[1]]);

    const { settled } = await late.exchange({ outcomes: { done: [{ claim_id: claimId, ids }] } });
    expect(settled).toMatchObject({ done: 1, lost: 1 });
    expect(settled.exceptions).toMatchObject([
      { id: ids[0], verdict: 'already', outcome: 'done' },
      { id: ids[1], verdict: 'lost', outcome: 'done' },
    ]);
    expect(await states()).toEqual(['done', 'running', 'done']);
  });

  it('are written without the one that the table refuses', async () => {
    await database.sql(
      `alter table app.tasks add constraint no_two check (id <> 2 or status <> 'done') not valid`,
    );
    const tick = newTick();
    const { claimId, rows } = await tick.claim(3);
    const done = [{ claim_id: claimId, ids: rows.map(({ id }) => id) }];
    const { settled } = await tick.exchange({ outcomes: { done } });
    expect(settled).toMatchObject({ done: 2, exceptions: [{ id: '2', verdict: 'refused' }] });
    expect(await states()).toEqual(['done', 'running', 'done']);
  });
});
