import { afterAll, beforeAll, expect, it } from 'vitest';
import { tick } from '../../../lib/engine/tick.ts';
import { monitors } from '../../../lib/queues/monitors/queue.ts';
import { type Sandbox, startSandbox } from '../../../lib/sandbox/sandbox.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { testDatabase } from '../../support/fixtures.ts';
import { realTimePorts } from '../../support/real-time-ports.ts';

const database = testDatabase();
let sandbox: Sandbox;
let dns: DnsServer;
let site: string;

beforeAll(async () => {
  dns = await startDnsServer({ 'never.example': 'silence' });
  sandbox = await startSandbox({ port: 0 });
  site = new URL(sandbox.url).host;
});
afterAll(async () => {
  await sandbox.close();
  await dns.close();
});

/** Adds a due monitor for each URL. Healthy sites get 10 s, since this machine may be slow, and the others 0.7 s. */
const watch = (urls: string[]) =>
  database.sql(
    `insert into punctual.monitors (name, url, timeout_ms, interval_seconds, next_check_at)
     select 'site ' || n, u, case when u like '%/ok/%' then 10000 else 700 end, 86400, now() - interval '1 second' from unnest($1::text[]) with ordinality x (u, n)`,
    [urls],
  );

const runTick = (canaries: string[]) =>
  tick(monitors, realTimePorts(database.rpc), {
    deps: monitors.connect({
      monitorAllowPrivate: [site, 'never.example'],
      monitorCanaries: canaries,
      monitorDnsServers: [dns.address],
    }),
    limitMs: 60_000,
    scheduler: 'test',
  });

it('ends each check at its timeout and settles all of them, with 30 each of the worst sites and 90 good ones', async () => {
  const kinds = ['never', 'silent', 'drip', 'loop', 'ok', 'ok', 'ok'];
  const urls = Array.from({ length: 210 }, (_, n) => {
    const kind = kinds[n % kinds.length];
    return kind === 'never' ? `http://never.example:80/${n}` : `http://${site}/sites/${kind}/s${n}`;
  });
  await watch(urls);
  const report = await runTick([`http://${site}/sites/ok/canary`]);
  expect(report).toMatchObject({
    ended: 'drained',
    counts: { claimed: 210, again: 210, released: 0, lost: 0 },
  });
  const found = await database.sql(
    `select coalesce(split_part(m.url, '/', 5), '') as kind, c.verdict, c.counted, count(*)::integer as checks, max(c.total_ms) as most_ms
       from punctual.monitor_checks c join punctual.monitors m on m.id = c.monitor_id group by 1, 2, 3 order by 1, 2`,
  );
  const down = { verdict: 'down', counted: true, checks: 30 };
  expect(found).toMatchObject([
    { ...down, kind: '' },
    { ...down, kind: 'drip' },
    { ...down, kind: 'loop' },
    { kind: 'ok', verdict: 'up', counted: true, checks: 90 },
    { ...down, kind: 'silent' },
  ]);
  // The machine may be slow. A check without an end would take for ever.
  for (const { kind, most_ms } of found) if (kind !== 'ok') expect(most_ms).toBeLessThan(5_000);
});

it('counts successful checks and no failed ones while no canary responds', async () => {
  await watch([`http://${site}/sites/down/a`, `http://${site}/sites/ok/b`]);
  await runTick([`http://never.example/canary`]);
  expect(
    await database.sql('select verdict, counted from punctual.monitor_checks order by monitor_id'),
  ).toEqual([
    { verdict: 'down', counted: false },
    { verdict: 'up', counted: true },
  ]);
  const [main] = (await database.rpc('list_regions', {})) as object[];
  expect(main).toMatchObject({ name: 'main', is_healthy: false });
});

it('counts failed checks if there are no canaries', async () => {
  await watch([`http://${site}/sites/down/a`]);
  await runTick([]);
  await database.sql(`update punctual.monitors set next_check_at = now() - interval '1 second'`);
  await runTick([]);
  expect(await database.sql('select state from punctual.monitors')).toEqual([{ state: 'down' }]);
  expect(await database.sql('select cause from punctual.incidents')).toEqual([
    { cause: 'it answered 503, not 200-299' },
  ]);
});
