/**
 * Sends 1,000 due direct messages, on real Postgres behind PostgREST, through the sandbox's Unipile in a process of its own: `npm run
 * bench:messages`. Runs ticks back-to-back, as a call of `/api/cron/dm-queue` and its continuations do. Prints the duration, and the memory that the
 * ticks add to their process.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { tick } from '../lib/engine/tick.ts';
import { dmQueue } from '../lib/queues/dm-queue/queue.ts';
import { supabaseRpc } from '../lib/store/supabase-rpc.ts';
import { startStack } from '../tests/stack/start-stack.ts';
import { realTimePorts } from '../tests/support/real-time-ports.ts';

const { values: flags } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000' },
    accounts: { type: 'string', default: '200' },
    latency: { type: 'string', default: '300-800' },
    batch: { type: 'string', default: '500' },
    concurrency: { type: 'string', default: '20' },
    port: { type: 'string', default: '4921' },
  },
});
const messages = Number(flags.messages);

const sandbox = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    'lib/sandbox/main.ts',
    '--port',
    flags.port,
    '--latency',
    flags.latency,
    '--rate-limited',
    '0',
    '--lost',
    '0',
    '--quiet',
  ],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
await once(sandbox.stdout, 'data');
sandbox.stdout.resume();
const stack = await startStack();
try {
  const ports = realTimePorts(supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey }));
  const deps = dmQueue.connect({
    unipile: { dsn: `http://127.0.0.1:${flags.port}`, apiKey: 'sandbox-key' },
  });
  // The first tick loads and compiles code, so it is not measured.
  await tick(dmQueue, ports, { deps, limitMs: 60_000, scheduler: 'bench' });
  await stack.sql(
    `insert into punctual.accounts (provider, provider_account_id, name, daily_limit)
     select 'unipile', 'account-' || n, 'Account ' || n, 1000 from generate_series(1, $1::integer) n`,
    [Number(flags.accounts)],
  );
  await stack.sql(
    `insert into punctual.dm_queue (account_id, channel, chat_id, body, send_at)
     select a.id, 'linkedin', 'account-' || a.number || '__person-' || n, repeat('message ' || n || ' ', 20), now() - interval '1 minute'
       from generate_series(1, $1::integer) n
       join (select id, row_number() over () as number from punctual.accounts) a on a.number = 1 + n % $2::integer`,
    [messages, Number(flags.accounts)],
  );
  await stack.sql("update punctual.queues set batch_limit = $1, concurrency = $2 where name = 'dm_queue'", [
    Number(flags.batch),
    Number(flags.concurrency),
  ]);
  await stack.sql('analyze punctual.dm_queue, punctual.accounts, punctual.pace');
  const before = memory();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, memory());
  }, 20);
  const startedAt = performance.now();
  let [sent, ticks] = [0, 0];
  for (;;) {
    const { counts } = await tick(dmQueue, ports, { deps, limitMs: 60_000, scheduler: 'bench' });
    ticks++;
    sent += counts.done;
    if (counts.claimed === 0) break;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  clearInterval(watch);
  console.log(
    `${sent} of ${messages} sent in ${seconds.toFixed(1)} s by ${ticks} ticks in a row: ${((60 * sent) / seconds).toFixed(0)} a minute ` +
      `(concurrency ${flags.concurrency}, batch limit ${flags.batch}; the sandbox responds after ${flags.latency} ms); ` +
      `the process used ${before} MB before and ${peak} MB at most`,
  );
} finally {
  sandbox.kill();
  await stack.stop();
}

/** Returns the heap and buffers of this process, in MB. */
function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1_048_576);
}
