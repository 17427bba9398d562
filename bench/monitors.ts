/**
 * Checks 1,000 due monitors in one tick, on real Postgres behind PostgREST, against the sandbox's sites in a process of its own:
 * `npm run bench:monitors`.
 *
 * Most sites respond after 20 to 150 ms, and 80 after one to three seconds. Four kinds never respond properly, with 30 sites each: a name with silent
 * DNS servers, a server that accepts the request and never responds, one that sends a byte a second, and one that redirects for ever.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { tick } from '../lib/engine/tick.ts';
import { monitors } from '../lib/queues/monitors/queue.ts';
import { supabaseRpc } from '../lib/store/supabase-rpc.ts';
import { startStack } from '../tests/stack/start-stack.ts';
import { startDnsServer } from '../tests/support/dns-server.ts';
import { realTimePorts } from '../tests/support/real-time-ports.ts';

const { values: flags } = parseArgs({
  options: {
    monitors: { type: 'string', default: '1000' },
    slow: { type: 'string', default: '80' },
    bad: { type: 'string', default: '30' },
    timeout: { type: 'string', default: '10000' },
    concurrency: { type: 'string', default: '100' },
    port: { type: 'string', default: '4919' },
  },
});
const count = Number(flags.monitors);
const bad = Number(flags.bad);
const site = `127.0.0.1:${flags.port}`;

const sandbox = spawn(
  process.execPath,
  ['--import', 'tsx', 'lib/sandbox/main.ts', '--port', flags.port, '--latency', '0-0'],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
await once(sandbox.stdout, 'data');
const dns = await startDnsServer({ 'never.example': 'silence' });
const stack = await startStack();
try {
  const urls = Array.from({ length: count }, (_, n) => {
    if (n < bad) return `http://never.example:${flags.port}/`;
    if (n < 2 * bad) return `http://${site}/sites/silent/s${n}`;
    if (n < 3 * bad) return `http://${site}/sites/drip/s${n}`;
    if (n < 4 * bad) return `http://${site}/sites/loop/s${n}`;
    return `http://${site}/sites/${n < 4 * bad + Number(flags.slow) ? 'slow' : 'ok'}/s${n}`;
  });
  await stack.sql(
    `insert into punctual.monitors (name, url, timeout_ms, interval_seconds, next_check_at)
     select 'site ' || n, u, $2, 600, now() - interval '1 second' from unnest($1::text[]) with ordinality x (u, n)`,
    [urls, Number(flags.timeout)],
  );
  await stack.sql('update punctual.queues set concurrency = $1 where name = $2', [
    Number(flags.concurrency),
    'monitors',
  ]);
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  const report = await tick(monitors, realTimePorts(rpc), {
    deps: monitors.connect({
      monitorAllowPrivate: [site],
      monitorCanaries: [`http://${site}/sites/ok/canary`],
      monitorDnsServers: [dns.address],
    }),
    partition: 'main',
    limitMs: 60_000,
    scheduler: 'bench',
  });
  const found = await stack.sql(
    `select verdict, error, count(*)::integer as checks, min(total_ms) as least_ms, max(total_ms) as most_ms from punctual.monitor_checks
      group by 1, 2 order by 3 desc limit 12`,
  );
  console.log(
    `${report.counts.again} of ${count} checked in ${(report.usedMs / 1_000).toFixed(1)} s of ${report.budgetMs / 1_000} s ` +
      `(${report.ended}; concurrency ${flags.concurrency}, timeout ${flags.timeout} ms, ${report.exchanges} exchanges; ` +
      `a check took ${report.performMs.p50} ms at the median, ${report.performMs.p95} ms at the 95th percentile)`,
  );
  console.table(found);
} finally {
  sandbox.kill();
  await dns.close();
  await stack.stop();
}
