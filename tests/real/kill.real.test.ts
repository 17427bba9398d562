import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Sandbox, startSandbox } from '../../lib/sandbox/sandbox.ts';
import { serveHandler } from '../support/serve-handler.ts';
import { randomKills } from './random-kills.ts';
import { perTestStackBench, testStack } from './test-stack.ts';
import { dmTick, startTickProcess, type TickSettings } from './tick-process.ts';

const kills = 20;
const rows = 400;
const concurrency = 5;
/** Longer than a lease and than a tick's limit, after which an open tick counts as dead. */
const leaseMs = 120_000;

const stack = testStack();
const bench = perTestStackBench(stack);
let sandbox: Sandbox;
let proxy: Awaited<ReturnType<typeof serveHandler>>;
/** The texts of requests that reached the proxy in full and have no response yet. */
const inFlight = new Set<string>();
const until = async (isSo: () => boolean) => {
  while (!isSo()) await sleep(1);
};

beforeAll(async () => {
  sandbox = await startSandbox({ latencyMs: [50, 350] });
  // A request goes on even if its sender dies.
  proxy = await serveHandler(async (request) => {
    const { method, headers, url } = request;
    const body = method === 'GET' ? undefined : Buffer.from(await request.arrayBuffer());
    const text = /message \d+/.exec(String(body))?.[0] ?? '';
    inFlight.add(text);
    const { pathname, search } = new URL(url);
    const passed = ['content-type', 'x-api-key'].flatMap((name): [string, string][] => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value]];
    });
    const response = await fetch(sandbox.url + pathname + search, { method, headers: passed, body });
    const content = await response.text();
    inFlight.delete(text);
    return new Response(content, response);
  });
});
afterAll(async () => {
  await proxy?.close();
  await sandbox?.close();
});

it('twenty ticks killed with requests in flight lose no row, send none twice, and leave uncertain rows unknown', async () => {
  const random = randomKills();
  await bench.addDms(rows, { accounts: 40 });
  await stack.sql(`update punctual.dm_queue set chat_id = null, recipient = 'person-' || id`);
  await stack.sql(`update punctual.queues set batch_limit = null, concurrency = $1`, [concurrency]);

  // Instead of waiting for leases, each tick tells the database that it is one lease later than the tick before. SQL compares every instant
  // with the time that the call brings, so no row is changed by hand. The dead tick's requests, at the provider and in the database, so
  // arrive while the next tick works, which a real wait would prevent.
  const settings = (aheadMs: number): TickSettings => ({
    ...stack.settings,
    unipile: { dsn: proxy.url, apiKey: 'sandbox-key' },
    aheadMs,
  });

  const cutOff = new Set<string>();
  for (let kill = 0; kill < kills; kill++) {
    await until(() => inFlight.size === 0);
    const child = startTickProcess(settings(kill * leaseMs));
    const ended = once(child, 'exit');
    const busy = () => Promise.race([until(() => inFlight.size > 0), ended]);
    await busy();
    await sleep(random() * 1_000);
    await busy();
    const texts = [...inFlight];
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(texts).not.toEqual([]);
    for (const text of texts) cutOff.add(text);
  }

  await until(() => inFlight.size === 0);
  const beforeEnd = await bench.states();
  await stack.sql('update punctual.queues set concurrency = 40');
  let aheadMs = kills * leaseMs;
  while ((await dmTick(settings(aheadMs))).outcome !== 'idle') aheadMs += leaseMs;

  const delivered = new Map(sandbox.deliveries().map(({ text, id }) => [text, id]));
  const finalRows = await stack.sql(
    'select body, status, attempts, provider_message_id, last_error from punctual.dm_queue order by id',
  );
  const unknown = finalRows.filter((row) => row.status === 'unknown').map((row) => row.body);
  console.log(
    `${kills} kills, ${cutOff.size} requests cut off, ${beforeEnd.sent} sent by ticks that died; at the end ` +
      `${JSON.stringify(await bench.states())}, of the unknown ${unknown.filter((text) => delivered.has(text)).length} delivered`,
  );

  // No message is delivered twice.
  expect(sandbox.deliveries()).toHaveLength(delivered.size);
  // No row is lost: each is sent under the provider's id, or unknown with its reason.
  expect(finalRows).toHaveLength(rows);
  for (const row of finalRows) {
    expect(row).toMatchObject(
      row.status === 'sent'
        ? { attempts: 1, provider_message_id: delivered.get(row.body) ?? 'none', last_error: null }
        : { attempts: 1, status: 'unknown', last_error: 'the tick died while this row was running' },
    );
  }
  // Every row whose request was in flight at a kill is unknown, or a check has found its message at the provider.
  const proved = await stack.sql(
    `select d.body from punctual.dm_queue d join punctual.history h on h.row_id = d.id::text and h.event = 'proved' where d.status = 'sent'`,
  );
  expect([...unknown, ...proved.map((row) => row.body)]).toEqual(expect.arrayContaining([...cutOff]));
  // A kill leaves at most the rows uncertain that were running, and as many that were claimed ahead.
  expect(unknown.length).toBeLessThanOrEqual(2 * kills * concurrency);
  expect(
    await stack.sql('select outcome, count(*)::integer from punctual.ticks group by 1 order by 1'),
  ).toContainEqual({ outcome: 'died', count: kills });
}, 300_000);
