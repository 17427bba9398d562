import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { done } from '../../lib/engine/outcome.ts';
import { perTestStackBench, testStack } from './test-stack.ts';

const stack = testStack();
const bench = perTestStackBench(stack);
beforeEach(() =>
  stack.sql(
    `update punctual.queues set max_ticks = 8, batch_limit = null, concurrency = 8 where name = 'dm_queue'`,
  ),
);

/** Returns a zone in which it is about noon, so that no day ends during the test. */
function zoneAtNoon(): string {
  const east = 12 - new Date().getUTCHours();
  return `Etc/GMT${east < 0 ? '+' : '-'}${Math.abs(east)}`;
}

/** Runs eight ticks at once. Returns how many messages each account sent. */
async function eightTicks(perform = async () => {}): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const tick = () =>
    bench.tick(async (_row, { account }) => {
      await perform();
      const id = account?.id ?? '';
      counts.set(id, (counts.get(id) ?? 0) + 1);
      return done();
    });
  const reports = await Promise.all(Array.from({ length: 8 }, tick));
  for (const { outcome } of reports) expect(['ran', 'idle']).toContain(outcome);
  return counts;
}

describe('eight ticks at once over accounts with more rows than they may send', () => {
  it('take each to its own daily or hourly limit, and none beyond it', async () => {
    // Daily limits of 3 to 7. Every fifth account may send two an hour, and every seventh has fewer rows than its limit.
    await bench.addDms(500 * 9, { accounts: 500 });
    await stack.sql(
      `update punctual.accounts set time_zone = $1, daily_limit = 3 + n % 5, hourly_limit = case when n % 5 = 0 then 2 end
         from (select id as account_id, split_part(provider_account_id, '-', 2)::integer as n from punctual.accounts) x where x.account_id = id`,
      [zoneAtNoon()],
    );
    await stack.sql(
      `delete from punctual.dm_queue d using punctual.accounts a where a.id = d.account_id
         and split_part(a.provider_account_id, '-', 2)::integer % 7 = 0 and d.id not in (
           select id from punctual.dm_queue x where x.account_id = a.id order by x.id limit 2)`,
    );
    const accounts = await stack.sql(
      `select a.id, least(a.daily_limit, a.hourly_limit, (select count(*) from punctual.dm_queue d where d.account_id = a.id))::integer as most
         from punctual.accounts a`,
    );
    const counts = await eightTicks();
    expect(counts).toEqual(new Map(accounts.map(({ id, most }) => [id, most])));
    const total = accounts.reduce((sum, { most }) => sum + most, 0);
    expect(await bench.states()).toMatchObject({ sent: total });
    const used = await stack.sql(`select account_id as id, used from punctual.pace where queue = 'dm_queue'`);
    expect(new Map(used.map((pace) => [pace.id, pace.used]))).toEqual(counts);

    // Right after that, every account has to wait.
    await stack.sql('truncate punctual.ticks');
    expect(await bench.tick()).toMatchObject({ outcome: 'idle', counts: { claimed: 0 } });
  });

  it('keep the gap between any two claims of one account, by the database’s clock', async () => {
    await bench.addDms(40 * 6, { accounts: 40 });
    await stack.sql('update punctual.accounts set gap_seconds = 1, gap_jitter_seconds = 1');
    for (const from = Date.now(); Date.now() - from < 6_000; ) await eightTicks(() => sleep(5));
    const gaps = await stack.sql(
      `select * from (select extract(epoch from claimed_at - lag(claimed_at) over (partition by account_id order by claimed_at))::float8 as seconds
         from punctual.dm_queue where status = 'sent') g where seconds is not null`,
    );
    expect(gaps.length).toBeGreaterThan(40);
    expect(Math.min(...gaps.map(({ seconds }) => seconds))).toBeGreaterThanOrEqual(1);
  });

  it('obey a limit that is lowered while they run, from the next claim on', async () => {
    await bench.addDms(100 * 8, { accounts: 100 });
    await stack.sql('update punctual.accounts set time_zone = $1', [zoneAtNoon()]);
    const lower = async () => {
      await stack.sql('update punctual.accounts set daily_limit = 3');
      return stack.sql('select clock_timestamp()::text as at');
    };
    let lowered: ReturnType<typeof lower> | null = null;
    let n = 0;
    await eightTicks(async () => {
      if (++n === 150) lowered = lower();
      await lowered;
    });
    // The next ticks claim from accounts that were locked by the change.
    await eightTicks();
    const at = (await (lowered as ReturnType<typeof lower> | null))?.[0]?.at;
    const rows = await stack.sql(
      `select account_id, count(*)::integer as sent, count(*) filter (where place > 3 and claimed_at > $1)::integer as beyond
         from (select *, row_number() over (partition by account_id order by claimed_at) as place
                 from punctual.dm_queue where status = 'sent') d group by 1`,
      [at],
    );
    expect(rows).toHaveLength(100);
    expect(rows.filter(({ sent, beyond }) => sent < 3 || beyond > 0)).toEqual([]);
    expect(rows.some(({ sent }) => sent === 3)).toBe(true);
  });
});
