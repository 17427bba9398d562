import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import { silentLog } from '../../lib/engine/ports/log.ts';
import { VirtualClock } from '../../lib/testing/virtual-clock.ts';
import { startHeartbeat } from '../../lib/worker/heartbeat.ts';
import { perTest } from '../support/fixtures.ts';

const service = perTest(async () => {
  const requests: string[] = [];
  const server = createServer(({ method, url }, response) => {
    requests.push(`${method} ${url}`);
    response.writeHead(service.status).end('OK');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { server, requests, host, status: 200, isWell: true, warnings: [] as object[], end: () => {} };
});
const clock = perTest(() => new VirtualClock());
afterEach(() => {
  service.end();
  service.server.close();
});

function start(): void {
  const log = { ...silentLog, warn: (fields: object) => void service.warnings.push(fields) };
  const url = `http://${service.host}/secret-of-the-check`;
  service.end = startHeartbeat({ url, isWell: () => service.isWell, clock, log });
}

/** Lets `ms` pass on the virtual clock. */
const pass = (ms: number) => clock.run(new Promise<void>((resolve) => void clock.timer(ms, resolve)));
const waitForRequests = (times: number) => vi.waitFor(() => expect(service.requests.length).toBe(times));
const waitForWarning = (why: string) =>
  vi.waitFor(() => expect(service.warnings).toEqual([{ host: service.host, why }]));

it('the heartbeat is sent at once and each minute while the worker is well, until it ends', async () => {
  start();
  await waitForRequests(1);
  await pass(59_999);
  expect(service.requests).toEqual(['GET /secret-of-the-check']);
  await pass(1);
  await waitForRequests(2);
  service.isWell = false;
  await pass(180_000);
  service.isWell = true;
  await pass(60_000);
  await waitForRequests(3);
  service.end();
  await pass(600_000);
  expect(service.requests.length).toBe(3);
});

it('the heartbeat warns once if the service refuses it, and names only the host', async () => {
  service.status = 404;
  start();
  await waitForWarning('the service responded with 404');
  await pass(60_000);
  await waitForRequests(2);
  service.server.close();
  service.server.closeAllConnections();
  await pass(60_000);
  expect(service.warnings.length).toBe(1);
});

it('the heartbeat warns if no server responds', async () => {
  service.server.close();
  await once(service.server, 'close');
  start();
  await waitForWarning('ECONNREFUSED');
});
