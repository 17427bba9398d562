import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../../lib/engine/ports/log.ts';
import { canaries } from '../../../lib/net/checks/canaries.ts';
import { dnsResolver } from '../../../lib/net/dns-resolver.ts';
import { type MonitorDeps, monitors } from '../../../lib/queues/monitors/queue.ts';
import { httpAnswer, loopback } from '../../net/loopback.ts';
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts';
import { sites, testAuthority } from '../../support/sites.ts';

const { serve, closeAll } = sites();
const raw = loopback();
let dns: DnsServer;
let deps: MonitorDeps;
beforeAll(async () => {
  dns = await startDnsServer({ 'site.test': ['127.0.0.1'], 'silent.test': 'silence' });
  deps = monitors.connect({
    monitorAllowPrivate: ['127.0.0.0/8'],
    monitorCanaries: [],
    monitorDnsServers: [dns.address],
  });
  deps.ca = testAuthority;
});
afterEach(async () => {
  await closeAll();
  await raw.closeAll();
});
afterAll(() => dns.close());

/** Checks a monitor with these columns once. */
async function perform(
  columns: Record<string, unknown>,
  over: Partial<MonitorDeps> = {},
  signal = new AbortController().signal,
) {
  const row = monitors.row.parse({
    id: 1,
    name: 'a site',
    method: 'GET',
    headers: {},
    expected_status: '200-299',
    keyword_present: null,
    keyword_absent: null,
    timeout_ms: 2_000,
    max_redirects: 5,
    degraded_ms: null,
    certificate_days: 14,
    interval_seconds: 60,
    ...columns,
  });
  const outcome = await monitors.perform(row, {
    deps: { ...deps, ...over },
    signal,
    log: silentLog,
    attempt: 1,
    claimId: '00000000-0000-4000-8000-000000000001',
    account: null,
    facts: null,
    progress() {},
  });
  if (outcome.kind !== 'again') throw new Error(`unexpected outcome: ${outcome.kind}`);
  return { afterSeconds: outcome.afterSeconds, ...outcome.result };
}

describe('a monitor', () => {
  it('is rescheduled after its interval, with all results of its check', async () => {
    const site = await serve((_request, response) => response.end('fine'), 'valid');
    const url = `https://site.test:${site.port}/`;
    const ms = expect.any(Number);
    expect(await perform({ url, interval_seconds: 30, keyword_present: 'fine' })).toEqual({
      afterSeconds: 30,
      verdict: 'up',
      error: null,
      network: null,
      status_code: 200,
      redirects: 0,
      address: '127.0.0.1',
      ...{ dns_ms: ms, connect_ms: ms, tls_ms: ms, first_byte_ms: ms, total_ms: ms, took_ms: ms },
      certificate_expires_at: '2125-01-01T00:00:00.000Z',
    });
    expect(await perform({ url, certificate_days: 40_000 })).toMatchObject({ verdict: 'degraded' });
    expect(await perform({ url, keyword_absent: 'fine' })).toMatchObject({ verdict: 'down' });
  });

  it.each(['tcp', 'tls'])('of a %s URL is checked over that protocol', async (scheme) => {
    const site = await serve((_request, response) => response.end(), 'valid');
    expect(await perform({ url: `${scheme}://site.test:${site.port}` })).toMatchObject({
      verdict: 'up',
      status_code: null,
      certificate_expires_at: scheme === 'tls' ? '2125-01-01T00:00:00.000Z' : null,
    });
    expect(site.requests).toEqual([]);
  });

  it('of a private address is down, with the reason', async () => {
    expect(await perform({ url: 'http://10.0.0.1/' })).toMatchObject({
      verdict: 'down',
      error: '10.0.0.1 is not a public address: if it is yours, add it to MONITOR_ALLOW_PRIVATE and restart',
    });
  });

  it.each([
    ['url', 'nonsense'],
    ['method', 'TRACE'],
    ['expected_status', '2xx'],
    ['headers', { a: 1 }],
  ])('whose %s was set to %j without the API is rescheduled, and says so', async (column, value) => {
    expect(await perform({ url: 'http://site.test/', [column]: value })).toMatchObject({
      afterSeconds: 60,
      verdict: 'down',
      error: expect.stringContaining(`its settings are invalid: ${column}`),
    });
  });

  it('without an interval does not fit the schema', () => {
    expect(monitors.row.safeParse({ interval_seconds: null }).success).toBe(false);
  });

  it('of a name is judged by canaries that are names, since DNS itself may be broken', async () => {
    const canary = await serve((_request, response) => response.end());
    const env = (names: string[]) =>
      monitors.connect({
        monitorAllowPrivate: ['127.0.0.0/8'],
        monitorCanaries: [`tcp://${canary.host}`, ...names],
        monitorDnsServers: [dns.address],
      });
    const broken = env(['http://silent.test/']);
    const name = { url: 'http://silent.test/', timeout_ms: 300 };
    const address = { url: 'tcp://127.0.0.1:1' };
    expect(await perform(name, broken)).toMatchObject({ verdict: 'down', network: 'broken' });
    expect(await perform(address, broken)).toMatchObject({ verdict: 'down', network: 'ok' });
    expect(await perform(name, env([]))).toMatchObject({ network: 'ok' });
  });
});

describe('a monitor that is down', () => {
  const withCanary = (url: string) => ({ canaries: canaries([url], dnsResolver([dns.address])) });

  it('says whether a canary has responded since, and only then is one queried', async () => {
    const canary = await serve((_request, response) => response.end());
    let status = 200;
    const site = await serve((_request, response) => response.writeHead(status).end());
    const url = `http://${site.host}/`;
    const answers = withCanary(`http://${canary.host}/`);
    expect(await perform({ url }, answers)).toMatchObject({ verdict: 'up', network: null });
    expect(canary.requests).toEqual([]);
    status = 500;
    expect(await perform({ url }, answers)).toMatchObject({ verdict: 'down', network: 'ok' });
    expect(await perform({ url }, withCanary('http://127.0.0.1:1/'))).toMatchObject({ network: 'broken' });
    expect(await perform({ url })).toMatchObject({ verdict: 'down', network: null });
  });

  it('because its attempt was stopped early says after how long, and queries no canary', async () => {
    const origin = await raw.answering(() => {});
    const signal = AbortSignal.timeout(80);
    const result = await perform({ url: `${origin}/` }, withCanary(`${origin}/`), signal);
    expect(result).toMatchObject({
      verdict: 'down',
      error: expect.stringMatching(/^stopped after \d+ ms while waiting for its response$/),
      network: null,
    });
  });
});

it('servers that never end a response are stopped at their timeout, 30 of each at once, and hold no thread', async () => {
  const silent = await raw.answering(() => {});
  const drips = await raw.answering((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 50);
    socket.on('close', () => clearInterval(timer));
  });
  const redirects = await raw.answering(
    (socket) => void setTimeout(() => socket.end(httpAnswer(302, '', { location: '/' })), 250),
  );
  let ended = 0;
  const running = ['http://silent.test', silent, drips, redirects].flatMap((url) =>
    Array.from({ length: 30 }, async () => {
      const result = await perform({ url: `${url}/`, timeout_ms: 900, max_redirects: 20 });
      ended += 1;
      return result;
    }),
  );
  // Both need a thread of the pool, which has four.
  await Promise.all([lookup('localhost'), readFile(import.meta.filename)]);
  expect(ended).toBe(0);
  // On four threads, one after the other, the checks would outlast this test.
  const error = expect.stringMatching(/^timed out after 900 ms while/);
  for (const result of await Promise.all(running)) expect(result).toMatchObject({ verdict: 'down', error });
});
