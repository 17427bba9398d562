import { beforeEach, describe, expect, it } from 'vitest';
import { attemptIn } from '../support/attempt.ts';
import { perTestExchanges, testDatabase } from '../support/fixtures.ts';
import { makeTasks } from '../support/tasks.ts';

const database = testDatabase({ own: true });
const sql = perTestExchanges(database);

beforeEach(async () => {
  await makeTasks(database);
  await database.sql(`update punctual.queues set adaptive = true, max_ticks = 9 where name = 'tasks'`);
});

const fill = (count: number) =>
  database.sql(
    `insert into app.tasks (lane, due) select 'a', $1::timestamptz from generate_series(1, ${count})`,
    [sql.now],
  );
const tick = () => sql.tick({ queue: 'tasks', partition: 'a' });
const settingsOf = (reply: object) => {
  const { settings } = reply as { settings: { batch_limit: number; concurrency: number } };
  return `${settings.batch_limit}/${settings.concurrency}`;
};
const newTickSettings = async () => settingsOf(await tick().exchange());
const limited = { rate_limited: true, delay_seconds: 1 };

/** Runs a tick whose row the provider rate-limits, and lets 60 s pass. */
async function runRateLimitedTick() {
  await attemptIn(tick(), 'retry', limited);
  sql.pass(60);
}

describe('adaptive settings', () => {
  it('follow the number of due rows: batch limit/concurrency', async () => {
    let due = 0;
    for (const [count, settings] of [
      [0, '20/3'],
      [9, '20/3'],
      [10, '30/5'],
      [50, '30/5'],
      [51, '40/7'],
      [100, '40/7'],
      [101, '50/10'],
      [1_500, '50/10'],
    ] as const) {
      await fill(count - due);
      due = count;
      expect([count, await newTickSettings()]).toEqual([count, settings]);
    }
  });

  it('depend on the backlog when the tick starts, and stay until it ends', async () => {
    await fill(60);
    const one = tick();
    expect(settingsOf(await one.claim(40))).toBe('40/7');
    expect(settingsOf(await one.exchange())).toBe('40/7');
    expect(await newTickSettings()).toBe('30/5');
  });

  it('limit the claim', async () => {
    await fill(200);
    const one = tick();
    expect((await one.exchange({ want: null })).rows).toHaveLength(10);
    expect((await one.claim(100)).rows).toHaveLength(40);
    expect((await one.claim(100)).rows).toHaveLength(0);
  });

  it('drop one step as soon as a provider rate-limits the tick', async () => {
    await fill(200);
    const one = tick();
    const { claimId: claim_id } = await one.claim(1);
    const record = { id: '1', claim_id, outcome: 'retry', error: '429', ...limited };
    expect(settingsOf(await one.settle([record]))).toBe('40/7');
  });

  it('drop one step for each of the last three ticks that was rate-limited, for 10 minutes', async () => {
    await fill(200);
    for (const settings of ['40/7', '30/5', '20/3', '20/3']) {
      await runRateLimitedTick();
      expect(await newTickSettings()).toBe(settings);
    }
    sql.pass(600);
    expect(await newTickSettings()).toBe('50/10');
  });

  it('rise again after ticks without a rate limit', async () => {
    await fill(200);
    await runRateLimitedTick();
    for (let n = 0; n < 3; n++) {
      await attemptIn(tick());
      sql.pass(10);
    }
    expect(await newTickSettings()).toBe('50/10');
  });

  it('give way to a partition’s own settings, which may also turn them off', async () => {
    await fill(200);
    const set = (change: string) =>
      database.sql(`update punctual.partitions set ${change} where queue = 'tasks' and partition = 'a'`);
    await set('concurrency = 2');
    expect(await newTickSettings()).toBe('50/2');
    await set('adaptive = false');
    expect(await newTickSettings()).toBe('30/2');
  });

  it('do not apply to a queue with adaptive = false', async () => {
    await fill(200);
    await database.sql(`update punctual.queues set adaptive = false where name = 'tasks'`);
    expect(await newTickSettings()).toBe('30/5');
  });
});
