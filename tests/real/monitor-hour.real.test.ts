import { expect, it } from 'vitest';
import { exchanges } from '../support/exchanges.ts';
import { testStack } from './test-stack.ts';

/** A tenth of the whole unless MONITOR_HOUR=whole, whose 120,000 checks take a minute. */
const [often, seldom] = process.env.MONITOR_HOUR === 'whole' ? [1_000, 10_000] : [100, 1_000];
const stack = testStack();

it('an hour of ticks every minute checks each monitor, of 60 s or 10 minutes, on its own grid and skips none', async () => {
  const sql = exchanges(stack);
  await stack.sql(
    `insert into punctual.monitors (name, url, interval_seconds, next_check_at)
     select 'site ' || n, 'https://site.example', i, $1 from (
       select n, case when n <= $2 then 60 else 600 end as i from generate_series(1, $2::integer + $3::integer) n) s`,
    [sql.now, often, seldom],
  );
  await stack.sql(
    'update punctual.monitors set next_check_at = punctual.next_on_grid(id, interval_seconds, $1)',
    [sql.now],
  );

  /** Runs one tick of the default region, with every site up. Returns how many were checked. */
  const tick = async () => {
    const { exchange } = sql.tick({ queue: 'monitors', providers: [] });
    const result = {
      verdict: 'up',
      total_ms: 40,
      took_ms: 40,
      dns_ms: 3,
      connect_ms: 4,
      tls_ms: 9,
      first_byte_ms: 30,
    };
    let records: object[] = [];
    for (let seq = 1, checked = 0; ; seq++) {
      const { rows, claimId, closed } = await exchange({
        seq,
        outcomes: { records },
        want: 500,
        close: true,
      });
      const outcome = { claim_id: claimId, outcome: 'again', result };
      records = rows.map(({ id, row }) => ({ ...outcome, id, delay_seconds: row.interval_seconds }));
      checked += rows.length;
      if (closed) return checked;
    }
  };
  const perTick: number[] = [];
  for (let minute = 1; minute <= 60; minute++) {
    sql.pass(60);
    perTick.push(await tick());
  }

  const gaps = await stack.sql(
    `select m.interval_seconds as interval, c.checks::integer, count(*)::integer as monitors, min(c.least)::integer as least, max(c.most)::integer as most
       from punctual.monitors m
       join (select g.monitor_id, count(*) as checks, min(g.gap) as least, max(g.gap) as most
               from (select k.monitor_id, extract(epoch from k.at - lag(k.at) over (partition by k.monitor_id order by k.id)) as gap
                       from punctual.monitor_checks k) g group by 1) c on c.monitor_id = m.id
      group by 1, 2 order by 1`,
  );
  expect(gaps).toEqual([
    { interval: 60, checks: 60, monitors: often, least: 60, most: 60 },
    { interval: 600, checks: 6, monitors: seldom, least: 600, most: 600 },
  ]);
  // The load is even: every minute has about a tenth of the 10-minute monitors.
  const deviation = Math.max(...perTick.map((checked) => Math.abs(checked - often - seldom / 10)));
  expect(deviation).toBeLessThan(5 * Math.sqrt(seldom / 10));
  // Every planned check lies on the grid to the millisecond and ran within 61 s.
  expect(
    await stack.sql(
      `select c.id from punctual.monitor_checks c join punctual.monitors m on m.id = c.monitor_id
        where c.scheduled_at <> punctual.next_on_grid(m.id, m.interval_seconds, c.scheduled_at - interval '1 millisecond')
           or c.at - c.scheduled_at > interval '61 seconds'`,
    ),
  ).toEqual([]);
});
