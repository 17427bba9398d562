import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { makeTasks } from '../support/tasks.ts';
import { openTestDatabase, type TestDatabase } from '../support/test-database.ts';

let database: TestDatabase;
let sql: ReturnType<typeof exchanges>;

beforeAll(async () => {
  database = await openTestDatabase({ own: true });
});
afterAll(() => database.close());
beforeEach(async () => {
  await database.reset();
  sql = exchanges(database);
  await makeTasks(database);
  await database.sql(`update punctual.queues set adaptive = true, max_ticks = 9 where name = 'tasks'`);
});

const fill = (count: number) =>
  database.sql(
    `insert into app.tasks (lane, due) select 'a', $1::timestamptz from generate_series(1, ${count})`,
    [sql.now],
  );

const tick = (changes: Record<string, unknown> = {}) =>
  sql.tick({ queue: 'tasks', partition: 'a', ...changes });
const settingsOf = (reply: object) => {
  const { settings } = reply as { settings: { batch_limit: number; concurrency: number } };
  return `${settings.batch_limit}/${settings.concurrency}`;
};
const opened = async () => settingsOf(await tick().exchange());

/** A tick that met a provider's limit. */
async function meetLimit() {
  const one = tick();
  const { rows, claimId } = await one.claim(1);
  await one.settle(
    [
      {
        id: rows[0]?.id ?? '',
        claim_id: claimId,
        outcome: 'retry',
        error: '429',
        delay_seconds: 1,
        rate_limited: true,
      },
    ],
    {
      close: true,
    },
  );
  sql.pass(60);
}

describe('settings that follow the backlog', () => {
  it.each([
    [0, '20/3'],
    [9, '20/3'],
    [10, '30/5'],
    [50, '30/5'],
    [51, '40/7'],
    [100, '40/7'],
    [101, '50/10'],
    [1_500, '50/10'],
  ])('with %i due rows are %s', async (count, settings) => {
    await fill(count);
    expect(await opened()).toBe(settings);
  });

  it('are of the backlog as the tick begins, and stay', async () => {
    await fill(60);
    const one = tick();
    expect(settingsOf(await one.claim(40))).toBe('40/7');
    expect(settingsOf(await one.exchange())).toBe('40/7');
    expect(await opened()).toBe('30/5');
  });

  it('bound the claim', async () => {
    await fill(200);
    const one = tick();
    expect((await one.exchange({ want: null })).rows).toHaveLength(10);
    expect((await one.claim(100)).rows).toHaveLength(40);
    expect((await one.claim(100)).rows).toHaveLength(0);
  });

  it('go down by a step as soon as the tick meets a limit', async () => {
    await fill(200);
    const one = tick();
    const { rows, claimId } = await one.claim(1);
    const record = {
      id: rows[0]?.id ?? '',
      claim_id: claimId,
      outcome: 'retry',
      error: '429',
      delay_seconds: 1,
      rate_limited: true,
    };
    expect(settingsOf(await one.settle([record]))).toBe('40/7');
  });

  it('are a step lower for each of the last three ticks that met a limit, for ten minutes', async () => {
    await fill(200);
    await meetLimit();
    expect(await opened()).toBe('40/7');
    await meetLimit();
    expect(await opened()).toBe('30/5');
    await meetLimit();
    await meetLimit();
    expect(await opened()).toBe('20/3');
    sql.pass(600);
    expect(await opened()).toBe('50/10');
  });

  it('go up again as ticks meet none', async () => {
    await fill(200);
    await meetLimit();
    for (let n = 0; n < 3; n++) {
      const one = tick();
      await one.claim(1);
      await one.close();
      sql.pass(10);
    }
    expect(await opened()).toBe('50/10');
  });

  it('give way to what a partition sets for itself, which may also switch them off', async () => {
    await fill(200);
    await database.sql(
      `update punctual.partitions set concurrency = 2 where queue = 'tasks' and partition = 'a'`,
    );
    expect(await opened()).toBe('50/2');
    await database.sql(
      `update punctual.partitions set adaptive = false where queue = 'tasks' and partition = 'a'`,
    );
    expect(await opened()).toBe('30/2');
  });

  it('are off unless asked for', async () => {
    await fill(200);
    await database.sql(`update punctual.queues set adaptive = false where name = 'tasks'`);
    expect(await opened()).toBe('30/5');
  });
});
