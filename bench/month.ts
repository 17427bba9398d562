/**
 * Measures the database after a month: `npm run bench:month`.
 *
 * - Runs five jobs, each in a queue of its own, every minute, and retention every day. Prints the sizes of the tables, which stop growing after
 *   eight days. Fails above 60 MB in all.
 * - Prints the longest step of retention with 1,000,000 more ticks. Fails if a step takes more than a second.
 */
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startStack } from '../tests/stack/start-stack.ts';

const { values: flags } = parseArgs({
  options: {
    days: { type: 'string', default: '30' },
    ticks: { type: 'string', default: '1000000' },
    postgres: { type: 'string', default: '15' },
  },
});
const days = Number(flags.days);
const megabyte = 1_048_576;
const from = Date.parse('2026-01-01T00:00:00Z');
const day = (n: number) => new Date(from + n * 86_400_000).toISOString();
const report = {
  ended: 'drained',
  budgetMs: 44_000,
  batchLimit: 30,
  concurrency: 5,
  maxContinuations: 3,
  usedMs: 1_234,
  lock: 'acquired',
  performMs: { p50: 350, p95: 900 },
  exchanges: 2,
};

/** Makes the ticks of a day. Each runs its job once. */
const playDay = `create function pg_temp.play_day(p_day timestamptz, p_report jsonb) returns void language plpgsql as $$
  declare
    v_at timestamptz;
    v_queue text;
    v_tick jsonb;
    v_reply json;
  begin
    for v_minute in 0..1439 loop
      v_at := p_day + v_minute * interval '1 minute';
      foreach v_queue in array array['a', 'b', 'c', 'd', 'e'] loop
        v_tick := jsonb_build_object('id', gen_random_uuid(), 'queue', 'jobs', 'partition', v_queue, 'scheduler', 'vercel', 'slot', v_at,
          'path', '/api/jobs/run', 'schedule', '* * * * *', 'limit_seconds', 60, 'lock', 'acquired');
        v_reply := punctual.exchange(v_tick, 1, p_want => 5, p_now => v_at);
        perform punctual.exchange(v_tick, 2, jsonb_build_object('records', jsonb_build_array(
          jsonb_build_object('id', v_reply->'rows'->0->>'id', 'claim_id', v_reply->'claim_id', 'outcome', 'again', 'delay_seconds', 60))),
          p_close => true, p_report => p_report, p_now => v_at + interval '1 second');
      end loop;
    end loop;
  end $$`;

const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
const client = new Client({ connectionString: stack.databaseUrl });
let longestMs = 0;

/** Runs retention until nothing is left to delete. Returns the number of deleted ticks. */
async function prune(now: string): Promise<number> {
  for (let pruned = 0; ; ) {
    const startedAt = performance.now();
    const { rows } = await client.query('select punctual.prune(1000, $1) as step', [now]);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    pruned += rows[0].step.ticks;
    if (!rows[0].step.more) return pruned;
  }
}

try {
  await client.connect();
  await client.query(playDay);
  await client.query(
    `insert into punctual.partitions (queue, partition) select 'jobs', q from unnest(array['a', 'b', 'c', 'd', 'e']) q`,
  );
  await client.query(
    `insert into punctual.jobs (name, queue, run_at) select 'x', q, $1 from unnest(array['a', 'b', 'c', 'd', 'e']) q`,
    [day(0)],
  );
  for (let n = 0; n < days; n++) {
    await client.query('select pg_temp.play_day($1, $2)', [day(n), report]);
    await prune(day(n + 1));
    // In real time, autovacuum does this.
    await client.query('vacuum (analyze)');
  }
  const { rows: counts } = await client.query(
    'select count(*)::integer as kept, sum(again)::integer as ran from punctual.ticks',
  );
  const { rows: sizes } = await client.query(
    `select c.relname as name, pg_total_relation_size(c.oid)::float as bytes from pg_class c
      where c.relnamespace = 'punctual'::regnamespace and c.relkind = 'r' order by 2 desc`,
  );
  const all = sizes.reduce((sum, { bytes }) => sum + bytes, 0);
  console.log(`${days} days: the ledger has ${counts[0].kept} ticks, which ran ${counts[0].ran} jobs`);
  for (const { name, bytes } of sizes.slice(0, 6)) console.log(`${(bytes / megabyte).toFixed(1)} MB ${name}`);
  console.log(`${(all / megabyte).toFixed(1)} MB in all`);
  if (counts[0].ran !== counts[0].kept || all > 60 * megabyte) process.exitCode = 1;

  await client.query(
    `insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at, closed_at, outcome, claimed)
     select gen_random_uuid(), 'jobs', 'a', 'bench', true, at, at, at, case when n % 2 = 0 then 'ran' else 'idle' end, (n + 1) % 2
       from (select n, $1::timestamptz - n * interval '0.5 s' as at from generate_series(1, $2::integer) n) t`,
    [day(days), flags.ticks],
  );
  await client.query('vacuum (analyze) punctual.ticks');
  longestMs = 0;
  const pruned = await prune(day(days));
  console.log(
    `of ${flags.ticks} more ticks, retention deletes ${pruned}: its longest step takes ${longestMs.toFixed(0)} ms`,
  );
  if (pruned === 0 || longestMs > 1_000) process.exitCode = 1;
} finally {
  await client.end();
  await stack.stop();
}
