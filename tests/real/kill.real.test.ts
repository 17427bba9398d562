import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { supabaseRpc } from '../../lib/store/supabase-rpc.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { RandomStream } from '../simulation/random.ts';
import { type Stack, startStack } from '../stack/start-stack.ts';
import { tickBench } from '../support/tick-bench.ts';
import { dmTick, startTickProcess, type TickSettings } from './tick-process.ts';

const kills = 20;
const rows = 400;
const concurrency = 5;
/** Longer than a lease and than a tick's limit, after which an open tick counts as dead. */
const leaseMs = 120_000;

let stack: Stack;
let sandbox: Sandbox;
let proxy: Proxy;

beforeAll(async () => {
  stack = await startStack();
  sandbox = await startSandbox({ latencyMs: [50, 350] });
  proxy = await openProxy(sandbox.url);
});
afterAll(async () => {
  await proxy?.close();
  await sandbox?.close();
  await stack?.stop();
});

interface Proxy {
  url: string;
  /** The texts of requests that arrived in full and have no response yet. */
  inFlight(): string[];
  /** Resolves as soon as a request is in flight. */
  busy(): Promise<void>;
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a proxy to the provider that knows the requests in flight. A request goes on even if its sender dies. */
async function openProxy(to: string): Promise<Proxy> {
  const waiting = new Set<string>();
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await sleep(1);
  };
  const server: Server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const text = /message \d+/.exec(body.toString())?.[0] ?? '';
    const { method, headers } = incoming;
    waiting.add(text);
    const onward = request(new URL(incoming.url ?? '/', to), { method, headers }, (response) => {
      waiting.delete(text);
      outgoing.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(outgoing);
    });
    onward.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    inFlight: () => [...waiting],
    busy: () => until(() => waiting.size > 0),
    idle: () => until(() => waiting.size === 0),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it('twenty ticks killed with requests in flight lose no row, send none twice, and leave uncertain rows unknown', async () => {
  const seed = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`KILL_SEED=${seed}`);
  const stream = new RandomStream(String(seed));
  const random = () => stream.next();
  const rpc = supabaseRpc({ url: stack.supabaseUrl, serviceRoleKey: stack.serviceRoleKey });
  const bench = tickBench(
    { ...stack, rpc, reset: async () => {}, close: stack.stop },
    new Date().toISOString(),
  );
  await bench.addDms(rows, { accounts: 40 });
  await stack.sql(`update punctual.dm_queue set chat_id = null, recipient = 'person-' || id`);
  await stack.sql(`update punctual.queues set batch_limit = null, concurrency = $1`, [concurrency]);

  // Instead of waiting for leases, each tick tells the database that it is one lease later than the tick before. SQL compares every instant
  // with the time that the call brings, so no row is changed by hand. The dead tick's requests, at the provider and in the database, so
  // arrive while the next tick works, which a real wait would prevent.
  const settings = (aheadMs: number): TickSettings => ({
    supabaseUrl: stack.supabaseUrl,
    serviceRoleKey: stack.serviceRoleKey,
    unipile: { dsn: proxy.url, apiKey: 'sandbox-key' },
    aheadMs,
  });

  const cutOff = new Set<string>();
  for (let kill = 0; kill < kills; kill++) {
    await proxy.idle();
    const child = startTickProcess(settings(kill * leaseMs));
    const ended = once(child, 'exit');
    await Promise.race([proxy.busy(), ended]);
    await sleep(random() * 1_000);
    await Promise.race([proxy.busy(), ended]);
    const inFlight = proxy.inFlight();
    child.kill('SIGKILL');
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(inFlight).not.toEqual([]);
    for (const text of inFlight) cutOff.add(text);
  }

  await proxy.idle();
  const beforeEnd = await bench.states();
  await stack.sql('update punctual.queues set concurrency = 40');
  let aheadMs = kills * leaseMs;
  for (;;) {
    const report = await dmTick(settings(aheadMs));
    if (report.outcome === 'idle') break;
    aheadMs += leaseMs;
  }

  const delivered = sandbox.deliveries().map((delivery) => delivery.text);
  const finalRows = await stack.sql(
    'select body, status, attempts, provider_message_id, last_error from punctual.dm_queue order by id',
  );
  const unknown = finalRows.filter((row) => row.status === 'unknown').map((row) => row.body);
  console.log(
    `${kills} kills, ${cutOff.size} requests cut off, ${beforeEnd.sent} sent by ticks that died; at the end ` +
      `${await bench.states().then(JSON.stringify)}, of the unknown ${unknown.filter((text) => delivered.includes(text)).length} delivered`,
  );

  // No message is delivered twice.
  expect(new Set(delivered).size).toBe(delivered.length);
  // No row is lost: each is sent, or unknown with its reason.
  expect(finalRows).toHaveLength(rows);
  for (const row of finalRows) {
    expect(row).toMatchObject(
      row.status === 'sent'
        ? { attempts: 1, provider_message_id: expect.any(String), last_error: null }
        : { attempts: 1, status: 'unknown', last_error: 'the tick died while this row was running' },
    );
  }
  // Every row whose request was in flight at a kill is unknown, or a check has found its message at the provider.
  const proved = await stack.sql(
    `select d.body from punctual.dm_queue d join punctual.history h on h.row_id = d.id::text and h.event = 'proved' where d.status = 'sent'`,
  );
  expect([...unknown, ...proved.map((row) => row.body)]).toEqual(expect.arrayContaining([...cutOff]));
  const sent = new Map(finalRows.map((row) => [row.body, row.provider_message_id]));
  for (const { text, id } of sandbox.deliveries()) {
    if (!unknown.includes(text)) expect(sent.get(text)).toBe(id);
  }
  for (const row of finalRows) if (row.status === 'sent') expect(delivered).toContain(row.body);
  // A kill leaves at most the rows uncertain that were running.
  expect(unknown.length).toBeLessThanOrEqual(kills * concurrency);
  expect(
    await stack.sql('select outcome, count(*)::integer from punctual.ticks group by 1 order by 1'),
  ).toContainEqual({ outcome: 'died', count: kills });
});
