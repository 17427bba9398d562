/**
 * Measures the database time of the dashboard's statistics with 1,000,000 settled and 100,000 due rows: `npm run bench:stats`. Fails if the median is
 * 50 ms or more.
 */
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { startStack } from '../tests/stack/start-stack.ts';
import { addDueDms, median } from './due-dms.ts';

const { values: flags } = parseArgs({
  options: {
    settled: { type: 'string', default: '1000000' },
    due: { type: 'string', default: '100000' },
    accounts: { type: 'string', default: '10000' },
    ticks: { type: 'string', default: '20000' },
    postgres: { type: 'string', default: '15' },
  },
});

const stack = await startStack({ postgres: flags.postgres as '15' | '18' });
const client = new Client({ connectionString: stack.databaseUrl });
try {
  await client.connect();
  await addDueDms(client, {
    rows: Number(flags.due),
    accounts: Number(flags.accounts),
    settled: Number(flags.settled),
  });
  await client.query(
    `insert into punctual.ticks (id, queue, partition, scheduler, admitted, started_at, deadline_at, closed_at, outcome, claimed, done)
     select gen_random_uuid(), 'dm_queue', 'main', 'bench', true, at, at + interval '1 minute', at + interval '3 seconds', 'ran', 30, 30
       from (select now() - make_interval(secs => n * 6) as at from generate_series(1, $1::integer) n) t`,
    [flags.ticks],
  );
  await client.query('vacuum (analyze) punctual.ticks');
  const times: number[] = [];
  for (let n = 0; n < 25; n++) {
    const { rows } = await client.query(
      `explain (analyze, format json) select punctual.read_stats(array['unipile', 'whatsapp_cloud'])`,
    );
    times.push(rows[0]['QUERY PLAN'][0]['Execution Time'] as number);
  }
  const ms = median(times.slice(5));
  console.log(
    `Postgres ${flags.postgres}: read_stats with ${flags.settled} settled and ${flags.due} due rows, ${flags.ticks} ticks: ` +
      `median ${ms.toFixed(1)} ms of database time, ${Math.min(...times).toFixed(1)} to ${Math.max(...times.slice(1)).toFixed(1)}`,
  );
  if (ms >= 50) process.exitCode = 1;
} finally {
  await client.end();
  await stack.stop();
}
